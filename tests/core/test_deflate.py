"""Deflated bytes depend on the content alone, and other programs' inflate reads them."""

import random
import zlib

from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from imagefactory.core.deflate import FINAL, Deflater, deflate, inflate


@given(st.binary(max_size=300), st.integers(0, 300))
def test_zlib_reads_what_was_deflated(plain: bytes, cut: int) -> None:
    assert inflate(deflate(plain)) == plain
    assert zlib.decompress(deflate(plain) + FINAL, -zlib.MAX_WBITS) == plain
    pieces = Deflater(16 + zlib.MAX_WBITS)
    stream = pieces.compress(plain[:cut]) + pieces.compress(plain[cut:]) + pieces.finish()
    assert zlib.decompress(stream, 16 + zlib.MAX_WBITS) == plain


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_how_it_comes_does_not_matter_to_what_is_read(pieces: list[bytes]) -> None:
    deflater = Deflater()
    stream = b"".join(map(deflater.compress, pieces)) + deflater.flush()
    assert inflate(stream) == b"".join(pieces)


def test_the_place_in_memory_does_not_matter() -> None:
    """The third byte begins what comes again: ISA-L alone finds it by chance, 1 time in 20,000."""
    chance = random.Random(5)
    contents = []
    for _ in range(60_000):
        again = chance.randbytes(6)
        head = b"".join((chance.randbytes(2), again, chance.randbytes(61), again))
        contents.append(head + chance.randbytes(526) + bytes(400))
    here = list(map(deflate, contents))
    held = [isal_zlib.compressobj(2) for _ in range(5)]  # 80 KiB each
    assert list(map(deflate, contents)) == here
    assert held
