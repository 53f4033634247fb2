"""streamOptimized VMDK (VMware, Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents")."""

import struct
import uuid
from typing import BinaryIO, Final

from imagefactory.core.deflate import CLUSTER, FINAL
from imagefactory.core.spans import Span
from imagefactory.engine.formats.chunks import Chunk, Codec

_SECTOR: Final = 512
_GRAIN: Final = CLUSTER // _SECTOR  # sectors
_TABLE: Final = 512  # grains of a grain table
_DESCRIPTOR: Final = (1, 20)  # first sector, sectors
_OVERHEAD: Final = 128  # sectors before the first grain
_AT_END: Final = 0xFFFFFFFFFFFFFFFF  # the grain directory's place stands in the footer
_FLAGS: Final = 0x30001  # newlines can be checked, grains are deflated, markers are present
_HEADER: Final = struct.Struct("<4sIIQQQQIQQQB4sH433x")
_MARKER: Final = struct.Struct("<QII496x")
_END, _GRAIN_TABLE, _GRAIN_DIRECTORY, _FOOTER = range(4)
_ZLIB: Final = b"\x78\x01"  # RFC 1950: 32 KiB window, fastest


class Vmdk:
    """Writes to a file, front to back, never seeking; grain tables follow the grains."""

    codec: Codec = "deflate"

    def __init__(self, file: BinaryIO, *, virtual_size: int, name: str = "disk.vmdk") -> None:
        self.spans: list[Span] = []
        self._file = file
        self._capacity = -(-virtual_size // _SECTOR)
        grains = -(-self._capacity // _GRAIN)
        self._places = [0] * (-(-grains // _TABLE) * _TABLE)
        self._sector = _OVERHEAD
        descriptor = _describe(name, self._capacity).ljust(_DESCRIPTOR[1] * _SECTOR, b"\0")
        head = self._header(_AT_END) + descriptor
        file.write(head.ljust(_OVERHEAD * _SECTOR, b"\0"))

    def add(self, chunk: Chunk) -> None:
        """Write one grain: its first sector, its length, its zlib stream."""
        self._places[chunk.index] = self._sector
        data = _ZLIB + chunk.deflated + FINAL + chunk.adler32.to_bytes(4, "big")
        head = struct.pack("<QI", chunk.index * _GRAIN, len(data))
        place = self._sector * _SECTOR + len(head) + len(_ZLIB)
        self.spans.append(Span(place, len(chunk.deflated), compressed=True))
        self._put(head + data)

    def finish(self) -> None:
        """Write the grain tables, the directory, the footer and the end."""
        directory = []
        for first in range(0, len(self._places), _TABLE):
            table = self._places[first : first + _TABLE]
            if not any(table):
                directory.append(0)
                continue
            self._mark(_GRAIN_TABLE, _TABLE * 4)
            directory.append(self._sector)
            self._put(struct.pack(f"<{_TABLE}I", *table))
        packed = struct.pack(f"<{len(directory)}I", *directory)
        self._mark(_GRAIN_DIRECTORY, len(packed))
        place = self._sector
        self._put(packed)
        self._mark(_FOOTER, _SECTOR)
        self._put(self._header(place))
        self._mark(_END, 0)

    def _header(self, directory: int) -> bytes:
        return _HEADER.pack(
            b"KDMV", 3, _FLAGS, self._capacity, _GRAIN, *_DESCRIPTOR,
            _TABLE, 0, directory, _OVERHEAD, 0, b"\n \r\n", 1,
        )  # fmt: skip

    def _mark(self, kind: int, length: int) -> None:
        self._put(_MARKER.pack(-(-length // _SECTOR), 0, kind))

    def _put(self, data: bytes) -> None:
        padded = data + bytes(-len(data) % _SECTOR)
        self._file.write(padded)
        self._sector += len(padded) // _SECTOR


def _describe(name: str, capacity: int) -> bytes:
    """The descriptor. Its content id is derived, so that the same disk is the same file."""
    heads, sectors = 255, 63
    content = uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {capacity}").hex[:8]
    return f"""# Disk DescriptorFile
version=1
CID={content}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RDONLY {capacity} SPARSE "{name}"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{min(65535, capacity // (heads * sectors))}"
ddb.geometry.heads = "{heads}"
ddb.geometry.sectors = "{sectors}"
ddb.virtualHWVersion = "13"
""".encode()
