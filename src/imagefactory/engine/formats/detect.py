"""Tells a disk image's format from its own bytes, so that no tool guesses from a guest's.

A raw disk's content belongs to the guest. If QEMU were left to probe it, a guest that wrote another
format's header there could make the host read any file as its backing file.
"""

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from imagefactory.core.errors import BuildError
from imagefactory.engine.formats import vhd, zstd

DiskFormat = Literal["raw", "raw.zst", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "tar.gz"]

_QCOW2: Final = b"QFI\xfb"
_QCOW2_HEADER: Final = struct.Struct(">4sIQIIQI36xQ")  # up to the incompatible features, byte 72
_EXTERNAL_DATA: Final = 1 << 2
_HEAD: Final = 4096
_VHDX_REGIONS: Final = 192 << 10
_VHDX_METADATA: Final = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
_VHDX_SIZE: Final = bytes.fromhex("2442a52f1bcd7648b2115dbed83bf4b8")
_OLDGNU: Final = b"ustar  \0"

#: what is recognised and not taken: magic -> name
_OTHERS: Final[Mapping[bytes, str]] = {
    b"COWD": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"QED\0": "qed",
    b"LUKS\xba\xbe": "luks",
}


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A disk image: a file, how to read it, and how large the disk in it is."""

    path: Path
    format: DiskFormat
    virtual_size: int  #: bytes


def inspect(path: Path) -> Disk:
    """What a file is by its own header or footer, and raw where nothing is recognised.

    `BuildError` for another format, one of ours that is damaged, or a qcow2 that is encrypted or
    refers to other files.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD).ljust(_HEAD, b"\0")
        for magic, name in _OTHERS.items():
            if head.startswith(magic):
                raise _unreadable(path, name)
        form = _format(head, file)
        try:
            size = _SIZES[form](head, file)
        except (struct.error, ValueError, zlib.error) as error:
            msg = f'The disk "{path.name}" looks like "{form}", but is damaged'
            raise BuildError(msg, hint="Give a whole file") from error
    if size is None:
        raise _unreadable(path, form)
    if form == "qcow2" and _refers_elsewhere(head):
        msg = f'The disk "{path.name}" is encrypted or refers to other files'
        raise BuildError(msg, hint="Give a raw disk, or a qcow2 without a backing or data file")
    return Disk(path=path, format=form, virtual_size=size)


def _unreadable(path: Path, name: str) -> BuildError:
    msg = f'The disk "{path.name}" is in the format "{name}", which cannot be read here'
    return BuildError(msg, hint="Give a raw or qcow2 disk")


def _format(head: bytes, file: BinaryIO) -> DiskFormat:
    starts: Mapping[bytes, DiskFormat] = {
        _QCOW2: "qcow2",
        b"KDMV": "vmdk",
        vhd.COOKIE: "vhd",
        b"vhdxfile": "vhdx",
        b"\x1f\x8b\x08": "tar.gz",
        zstd.MAGIC: "raw.zst",
    }
    for magic, form in starts.items():
        if head.startswith(magic):
            return form
    if head[64:68] == b"\x7f\x10\xda\xbe":
        return "vdi"
    # A guest could end its raw disk like this; such a disk is then refused as a source.
    return "vhd" if _is_footer(_tail(file, vhd.FOOTER.size)) else "raw"


def _is_footer(tail: bytes) -> bool:
    return tail.startswith(vhd.COOKIE) and vhd.summed_rightly(tail)


def _refers_elsewhere(head: bytes) -> bool:
    _magic, version, backing, _length, _bits, _size, crypt, features = _QCOW2_HEADER.unpack_from(
        head
    )
    return bool(backing or crypt or (version > 2 and features & _EXTERNAL_DATA))


def _raw_size(_head: bytes, file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _field(layout: str, offset: int, *, unit: int = 1) -> Callable[[bytes, BinaryIO], int]:
    """Reads a length that stands in the header."""

    def read(head: bytes, _file: BinaryIO) -> int:
        (value,) = struct.unpack_from(layout, head, offset)
        return int(value) * unit

    return read


def _vhd_size(_head: bytes, file: BinaryIO) -> int:
    footer = _tail(file, vhd.FOOTER.size)
    if not _is_footer(footer):
        msg = "No footer"
        raise ValueError(msg)
    (size,) = struct.unpack_from(">Q", footer, 48)
    return int(size)


def _vhdx_size(_head: bytes, file: BinaryIO) -> int:
    """From the metadata region, which the region table names ([MS-VHDX], 2.2.3 and 2.6)."""
    start = _entry(_at(file, _VHDX_REGIONS, 4096), 16, 32, _VHDX_METADATA, layout="<16xQ")
    place = _entry(_at(file, start, 4096), 32, 32, _VHDX_SIZE, layout="<16xI")
    (size,) = struct.unpack("<Q", _at(file, start + place, 8))
    return int(size)


def _entry(table: bytes, first: int, size: int, guid: bytes, *, layout: str) -> int:
    for place in range(first, len(table) - size, size):
        if table.startswith(guid, place):
            return int(struct.unpack_from(layout, table, place)[0])
    msg = "No such entry"
    raise ValueError(msg)


def _targz_size(head: bytes, _file: BinaryIO) -> int | None:
    """The length of the sparse member that `targz` writes; None for any other content."""
    header = zlib.decompressobj(wbits=31).decompress(head, 512)
    if header[257:265] != _OLDGNU or header[156:157] != b"S":
        return None
    number = header[483:495]
    if number[0] & 0x80:
        return int.from_bytes(number[1:], "big")
    return int(number.rstrip(b"\0 "), 8)


def _zstd_size(_head: bytes, file: BinaryIO) -> int | None:
    """The sum of all frames in the table at the end; None where there is no table."""
    tail = _tail(file, zstd.END.size)
    frames, _descriptor, magic = zstd.END.unpack(tail)
    if magic != zstd.SEEKABLE:
        return None
    table = _tail(file, frames * zstd.ENTRY.size + zstd.END.size)[: -zstd.END.size]
    return sum(int(plain) for _compressed, plain in zstd.ENTRY.iter_unpack(table))


_SIZES: Final[Mapping[DiskFormat, Callable[[bytes, BinaryIO], int | None]]] = {
    "raw": _raw_size,
    "raw.zst": _zstd_size,
    "qcow2": _field(">Q", 24),
    "vmdk": _field("<Q", 12, unit=512),
    "vhd": _vhd_size,
    "vhdx": _vhdx_size,
    "vdi": _field("<Q", 0x170),
    "tar.gz": _targz_size,
}


def _tail(file: BinaryIO, length: int) -> bytes:
    size = os.fstat(file.fileno()).st_size
    return _at(file, max(0, size - length), length)


def _at(file: BinaryIO, place: int, length: int) -> bytes:
    return os.pread(file.fileno(), length, place)
