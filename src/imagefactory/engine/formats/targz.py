"""The gzip-compressed tar archive with one sparse file that Google Compute Engine takes.

The archive is GNU's old format with type S ("Storing Sparse Files" in the manual of GNU tar), as
`tar --format=oldgnu -S` writes it; the stream is RFC 1952.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, Final

from isal import isal_zlib

from imagefactory.core.deflate import CLUSTER, FINAL, deflate
from imagefactory.core.spans import Span
from imagefactory.engine.formats import crc
from imagefactory.engine.formats.chunks import Chunk, Codec

NAME: Final = b"disk.raw"

_GZIP: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # no name, no time, no system
_BLOCK: Final = 512
_RECORD: Final = 20 * _BLOCK
_IN_HEADER: Final = 4  # entries of the map
_IN_EXTENSION: Final = 21
_CHECKSUM: Final = slice(148, 156)
_OCTAL_LIMIT: Final = 8 << 30  # what eleven octal digits hold

Extent = tuple[int, int]  # offset, length


class TarGz:
    """Writes to a file, front to back, never seeking: the map of the data comes first."""

    codec: Codec = "deflate"

    def __init__(self, file: BinaryIO, *, virtual_size: int, clusters: Sequence[int]) -> None:
        """`clusters` are those that will be added (`used_clusters`)."""
        self.spans: list[Span] = []
        self._file = file
        self._size = virtual_size
        self._crc = 0
        self._length = 0
        self._position = file.write(_GZIP)
        self._deflate(b"".join(_headers(virtual_size, list(_extents(clusters, virtual_size)))))

    def add(self, chunk: Chunk) -> None:
        """Put one cluster into the stream; the last is cut where the disk ends."""
        rest = self._size - chunk.index * CLUSTER
        if rest < CLUSTER:
            self._deflate(chunk.plain[: -(-rest // _BLOCK) * _BLOCK])
            return
        self.spans.append(Span(self._position, len(chunk.deflated), compressed=True))
        self._put(chunk.deflated, crc32=chunk.crc32, length=CLUSTER)

    def finish(self) -> None:
        """Write the end of the archive, a whole record, and the end of the stream."""
        end = 2 * _BLOCK
        self._deflate(bytes(end + -(self._length + end) % _RECORD))
        self._file.write(FINAL + struct.pack("<II", self._crc, self._length & 0xFFFFFFFF))

    def _deflate(self, data: bytes) -> None:
        self._put(deflate(data), crc32=isal_zlib.crc32(data), length=len(data))

    def _put(self, deflated: bytes, *, crc32: int, length: int) -> None:
        self._position += self._file.write(deflated)
        self._crc = crc.joined(self._crc, crc32, length)
        self._length += length


def _extents(clusters: Iterable[int], size: int) -> Iterator[Extent]:
    """Neighbouring clusters as one extent each; last an empty one where the disk ends with a hole."""
    start = end = 0
    for index in clusters:
        if index * CLUSTER != end:
            if end > start:
                yield start, end - start
            start = index * CLUSTER
        end = min((index + 1) * CLUSTER, size)
    if end > start:
        yield start, end - start
    if end < size or not size:
        yield size, 0


def _headers(size: int, extents: Sequence[Extent]) -> Iterator[bytes]:
    """The header of the one member, and as many extensions as its map needs."""
    further = iter(extents)
    here = list(islice(further, _IN_HEADER))
    archived = sum(length for _offset, length in extents)
    more = len(extents) > _IN_HEADER
    header = bytearray(
        NAME.ljust(100, b"\0") + b"0000644\0" + 2 * b"0000000\0"
        + _number(archived) + _number(0) + b" " * 8 + b"S"
        + bytes(100) + b"ustar  \0" + bytes(121)
        + _map(here, _IN_HEADER) + bytes([more]) + _number(size)
    ).ljust(_BLOCK, b"\0")  # fmt: skip
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    yield bytes(header)
    left = len(extents) - _IN_HEADER
    while left > 0:
        here, left = list(islice(further, _IN_EXTENSION)), left - _IN_EXTENSION
        yield (_map(here, _IN_EXTENSION) + bytes([left > 0])).ljust(_BLOCK, b"\0")


def _map(extents: Iterable[Extent], room: int) -> bytes:
    return b"".join(_number(n) for extent in extents for n in extent).ljust(24 * room, b"\0")


def _number(value: int) -> bytes:
    """Octal digits, or GNU's base 256 for what these cannot hold."""
    if value < _OCTAL_LIMIT:
        return b"%011o\0" % value
    return b"\x80" + value.to_bytes(11, "big")
