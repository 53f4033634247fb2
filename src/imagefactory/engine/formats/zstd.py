"""A raw disk as zstd frames that can be read from any place (zstd, contrib/seekable_format)."""

import struct
from functools import lru_cache
from typing import BinaryIO, Final

from imagefactory.core.deflate import CLUSTER
from imagefactory.core.spans import Span
from imagefactory.engine.formats.chunks import Chunk, Codec, zstd_frame

MAGIC: Final = b"\x28\xb5\x2f\xfd"
ENTRY: Final = struct.Struct("<II")  #: of the table: compressed and plain length of a frame
END: Final = struct.Struct("<IBI")  #: of the table: frames, descriptor, magic number
SEEKABLE: Final = 0x8F92EAB1

_SKIPPABLE: Final = struct.Struct("<II")
_SEEK_TABLE: Final = 0x184D2A5E
_ZEROS: Final = 16 << 20  # bytes that one frame of zeros stands for, at most


class ZstdFrames:
    """Writes to a file, front to back, never seeking: a frame for each cluster, and the table of all."""

    codec: Codec = "zstd"

    def __init__(self, file: BinaryIO, *, virtual_size: int) -> None:
        self.spans: list[Span] = []
        self._file = file
        self._size = virtual_size
        self._position = 0  # in the disk
        self._written = 0
        self._table = bytearray()

    def add(self, chunk: Chunk) -> None:
        """Put one cluster behind the last; zeros between them are few frames."""
        start = chunk.index * CLUSTER
        self._skip_to(start)
        length = min(CLUSTER, self._size - start)
        whole = length == CLUSTER
        if whole:
            self.spans.append(Span(self._written, len(chunk.zstd), compressed=True))
        self._put(chunk.zstd if whole else zstd_frame(chunk.plain[:length]), length)

    def finish(self) -> None:
        """Write the zeros at the end, and the table in a frame that decoders skip."""
        self._skip_to(self._size)
        frames = len(self._table) // ENTRY.size
        table = bytes(self._table) + END.pack(frames, 0, SEEKABLE)
        self._file.write(_SKIPPABLE.pack(_SEEK_TABLE, len(table)) + table)

    def _skip_to(self, place: int) -> None:
        while length := min(_ZEROS, place - self._position):
            self._put(_zeros(length), length)

    def _put(self, frame: bytes, length: int) -> None:
        self._written += self._file.write(frame)
        self._table += ENTRY.pack(len(frame), length)
        self._position += length


@lru_cache(maxsize=64)
def _zeros(length: int) -> bytes:
    return zstd_frame(bytes(length))
