"""Compressed qcow2, version 3 (QEMU, docs/interop/qcow2.rst)."""

import struct
from array import array
from typing import BinaryIO, Final, Literal

from imagefactory.core.deflate import CLUSTER, FINAL
from imagefactory.core.spans import Span
from imagefactory.engine.formats.chunks import Chunk, Codec

_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_ZSTD: Final = b"\x01".ljust(8, b"\0")  # the compression type, an addition to the header
_OTHER_COMPRESSION: Final = 1 << 3  # incompatible feature: the compression type is not zlib
_REFCOUNT_ORDER: Final = 4  # 16 bits
_COMPRESSED: Final = 1 << 62
_COPIED: Final = 1 << 63
_SECTOR: Final = 512
_SECTORS_SHIFT: Final = 54  # 62 - (cluster_bits - 8)
_TABLE: Final = CLUSTER // 8  # entries of an L2 table, and refcount blocks that one cluster names
_BLOCK: Final = CLUSTER // 2  # refcounts in a refcount block


class Qcow2:
    """Writes to an empty, seekable file: tables first, then the clusters packed one after another."""

    def __init__(
        self,
        file: BinaryIO,
        *,
        virtual_size: int,
        compression: Literal["zlib", "zstd"] = "zlib",
    ) -> None:
        self.codec: Codec = "deflate" if compression == "zlib" else "zstd"
        self.spans: list[Span] = []
        self._file = file
        self._size = virtual_size
        clusters = -(-virtual_size // CLUSTER)
        self._l2_tables = max(1, -(-clusters // _TABLE))
        l1_clusters = -(-self._l2_tables * 8 // CLUSTER)
        most = 2 + l1_clusters + self._l2_tables + clusters + 1
        self._blocks = -(-most // (_BLOCK - 1)) + 1
        self._l1 = (2 + self._blocks) * CLUSTER
        self._l2 = self._l1 + l1_clusters * CLUSTER
        self._position = self._l2 + self._l2_tables * CLUSTER
        self._entries = array("Q", bytes(8 * self._l2_tables * _TABLE))
        self._references: dict[int, int] = {}
        file.seek(self._position)

    def add(self, chunk: Chunk) -> None:
        """Pack one cluster behind the last."""
        packed, end = (chunk.zstd, b"") if self.codec == "zstd" else (chunk.deflated, FINAL)
        data = packed + end
        if len(data) >= CLUSTER:
            self._align(CLUSTER)
            self._entries[chunk.index] = _COPIED | self._position
            self.spans.append(Span(self._position, CLUSTER, compressed=False))
            self._put(chunk.plain)
            return
        further = (self._position % _SECTOR + len(data) - 1) // _SECTOR
        self._entries[chunk.index] = _COMPRESSED | further << _SECTORS_SHIFT | self._position
        # What is counted is whole sectors, and the last may reach into the next cluster.
        first = self._position // CLUSTER
        last = (self._position // _SECTOR + further) * _SECTOR // CLUSTER
        self._refer(first, last)
        self.spans.append(Span(self._position, len(packed), compressed=True))
        self._file.write(data)
        self._position += len(data)

    def finish(self) -> None:
        """Write the tables, whose content is known only now."""
        self._align(CLUSTER)
        l1 = array("Q")
        for number in range(self._l2_tables):
            table = self._entries[number * _TABLE : (number + 1) * _TABLE]
            place = self._l2 + number * CLUSTER
            used = any(table)
            l1.append(_COPIED | place if used else 0)
            if used:
                self._refer(place // CLUSTER, place // CLUSTER)
                self._write_at(place, _big_endian(table))
        self._refer(0, self._l2 // CLUSTER - 1)
        self._write_at(self._l1, _big_endian(l1))
        self._write_refcounts()
        features, addition = (_OTHER_COMPRESSION, _ZSTD) if self.codec == "zstd" else (0, b"")
        header = _HEADER.pack(
            b"QFI\xfb", 3, 0, 0, CLUSTER.bit_length() - 1, self._size, 0,
            self._l2_tables, self._l1, CLUSTER, 1, 0, 0, features, 0, 0, _REFCOUNT_ORDER,
            _HEADER.size + len(addition),
        )  # fmt: skip
        self._write_at(0, header + addition)

    def _write_refcounts(self) -> None:
        table = array("Q", ((2 + number) * CLUSTER for number in range(self._blocks)))
        self._write_at(CLUSTER, _big_endian(table))
        counts = array("H", bytes(2 * self._blocks * _BLOCK))
        for cluster, count in self._references.items():
            counts[cluster] = count
        self._write_at(2 * CLUSTER, _big_endian(counts))

    def _refer(self, first: int, last: int) -> None:
        for cluster in range(first, last + 1):
            self._references[cluster] = self._references.get(cluster, 0) + 1

    def _put(self, data: bytes) -> None:
        self._refer(self._position // CLUSTER, self._position // CLUSTER)
        self._file.write(data)
        self._position += len(data)

    def _align(self, to: int) -> None:
        gap = -self._position % to
        self._file.write(bytes(gap))
        self._position += gap

    def _write_at(self, place: int, data: bytes) -> None:
        self._file.seek(place)
        self._file.write(data)


def _big_endian(values: "array[int]") -> bytes:
    values.byteswap()
    return values.tobytes()
