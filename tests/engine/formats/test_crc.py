"""The CRC of a whole follows from those of its parts."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from imagefactory.engine.formats.crc import joined


@given(first=st.binary(max_size=500), second=st.binary(max_size=500))
def test_two_parts_give_the_crc_of_the_whole(first: bytes, second: bytes) -> None:
    together = joined(zlib.crc32(first), zlib.crc32(second), len(second))
    assert together == zlib.crc32(first + second)
