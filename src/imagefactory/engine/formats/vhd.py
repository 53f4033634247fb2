"""VHD, fixed and dynamic (Microsoft, "Virtual Hard Disk Image Format Specification", 1.0)."""

import struct
import uuid
from array import array
from typing import BinaryIO, Final, Literal

from imagefactory.core.deflate import CLUSTER
from imagefactory.core.spans import Span
from imagefactory.engine.formats.chunks import Chunk, Codec

SECTOR: Final = 512
FOOTER: Final = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427x")
COOKIE: Final = b"conectix"

_DYNAMIC_HEADER: Final = struct.Struct(">8sQQIIII16sI4x512s192x256x")
_NONE: Final = 0xFFFFFFFFFFFFFFFF
_RESERVED: Final = 2  # the feature bit that is always set
_VERSION: Final = 0x00010000
# Who reads "win " takes the disk's size from the footer; for others QEMU takes it from the geometry.
_CREATOR: Final = b"win "
_TYPES: Final = {"fixed": 2, "dynamic": 3}
_CHECKSUM: Final = slice(64, 68)
_HEADER_CHECKSUM: Final = slice(36, 40)
_BLOCK: Final = 2 << 20  # bytes
_BITMAP: Final = bytes([0xFF]) * (_BLOCK // SECTOR // 8)
_TABLE: Final = SECTOR + _DYNAMIC_HEADER.size  # where the block allocation table lies
_UNUSED: Final = 0xFFFFFFFF


class DynamicVhd:
    """Writes to an empty, seekable file; what a used block does not hold stays a hole."""

    codec: Codec = "plain"

    def __init__(self, file: BinaryIO, *, virtual_size: int, head: bytes) -> None:
        """`head` is the beginning of the disk, of which its identity is made."""
        self.spans: list[Span] = []
        self._file = file
        self._footer = footer(virtual_size, kind="dynamic", head=head)
        self._table = array("I", [_UNUSED]) * (-(-virtual_size // _BLOCK))
        length = -(-len(self._table) * 4 // SECTOR) * SECTOR
        self._end = _TABLE + length  # where the next block goes

    def add(self, chunk: Chunk) -> None:
        """Write one cluster into its block."""
        number, offset = divmod(chunk.index * CLUSTER, _BLOCK)
        if self._table[number] == _UNUSED:
            self._table[number] = self._end // SECTOR
            self._write_at(self._end, _BITMAP)
            self._end += len(_BITMAP) + _BLOCK
        place = self._table[number] * SECTOR + len(_BITMAP) + offset
        self.spans.append(Span(place, CLUSTER, compressed=False))
        self._write_at(place, chunk.plain)

    def finish(self) -> None:
        """Write the headers, the table and the footer."""
        entries = len(self._table)
        header = _DYNAMIC_HEADER.pack(
            b"cxsparse", _NONE, _TABLE, _VERSION, entries, _BLOCK, 0, b"", 0, b""
        )
        self._write_at(0, self._footer + _summed(header, _HEADER_CHECKSUM))
        self._table.byteswap()
        table = self._table.tobytes()
        self._write_at(_TABLE, table.ljust(-(-len(table) // SECTOR) * SECTOR, b"\xff"))
        self._write_at(self._end, self._footer)

    def _write_at(self, place: int, data: bytes) -> None:
        self._file.seek(place)
        self._file.write(data)


def footer(virtual_size: int, *, kind: Literal["fixed", "dynamic"], head: bytes) -> bytes:
    """The 512 bytes at the end. The disk's identity is made of its first bytes, its time is none."""
    cylinders, heads, sectors = _geometry(virtual_size // SECTOR)
    packed = FOOTER.pack(
        COOKIE, _RESERVED, _VERSION, _NONE if kind == "fixed" else SECTOR, 0,
        _CREATOR, _VERSION, b"Wi2k", virtual_size, virtual_size, cylinders, heads, sectors,
        _TYPES[kind], 0, uuid.uuid5(uuid.NAMESPACE_OID, head.hex()).bytes, 0,
    )  # fmt: skip
    return _summed(packed, _CHECKSUM)


def summed_rightly(packed: bytes) -> bool:
    """Whether a footer carries its own checksum."""
    return packed == _summed(packed, _CHECKSUM)


def _summed(packed: bytes, place: slice) -> bytes:
    """The structure with its checksum: the complement of the sum of all other bytes."""
    total = sum(packed) - sum(packed[place])
    return packed[: place.start] + struct.pack(">I", ~total & 0xFFFFFFFF) + packed[place.stop :]


def _geometry(total: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track of a disk of so many sectors (appendix "CHS Calculation")."""
    total = min(total, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        return total // 255 // 16, 16, 255
    per_track = 17
    by_heads = total // per_track
    heads = max(4, (by_heads + 1023) // 1024)
    if by_heads >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        by_heads = total // per_track
    if by_heads >= heads * 1024:
        per_track, heads = 63, 16
        by_heads = total // per_track
    return by_heads // heads, heads, per_track
