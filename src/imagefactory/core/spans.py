"""Where the chunks of a disk lie in the file of its format: what lets files share what they hold."""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

SUFFIX: Final = ".spans"  #: of the file beside a disk

_PACKED: Final = struct.Struct("<QI??")


class Span(NamedTuple):
    """One chunk in a file, as it stands there."""

    offset: int  #: bytes
    length: int  #: bytes
    compressed: bool  #: whether it is, so that compressing it again would be of no use
    apart: bool = False  #: whether there are zeros before it in the disk, which are not in the file


def dumps(spans: Iterable[Span]) -> bytes:
    """The spans as bytes."""
    return b"".join(_PACKED.pack(*span) for span in spans)


def loads(data: bytes) -> list[Span]:
    """The spans of these bytes; what a crash has cut off is left out."""
    whole = len(data) // _PACKED.size * _PACKED.size
    return [Span(*fields) for fields in _PACKED.iter_unpack(data[:whole])]
