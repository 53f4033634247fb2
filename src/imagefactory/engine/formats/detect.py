"""Tells a disk image's format from its own first bytes, so that no tool guesses from a guest's.

A raw disk's content belongs to the guest. If QEMU were left to probe it, a guest that wrote another
format's header there could make the host read any file as its backing file.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from imagefactory.core.errors import BuildError

DiskFormat = Literal["raw", "qcow2"]

_QCOW2: Final = b"QFI\xfb"
_HEADER: Final = struct.Struct(">4sIQIIQI36xQ")  # up to the incompatible features, byte 72
_EXTERNAL_DATA: Final = 1 << 2
_HEAD: Final = 80

#: what is recognised and not taken: (offset, magic) -> name
_OTHERS: Final[Mapping[tuple[int, bytes], str]] = {
    (0, b"KDMV"): "vmdk",
    (0, b"COWD"): "vmdk",
    (0, b"# Disk DescriptorFile"): "vmdk",
    (0, b"conectix"): "vhd",
    (0, b"vhdxfile"): "vhdx",
    (0, b"QED\0"): "qed",
    (0, b"LUKS\xba\xbe"): "luks",
    (64, b"\x7f\x10\xda\xbe"): "vdi",
}


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A disk image: a file, how to read it, and how large the disk in it is."""

    path: Path
    format: DiskFormat
    virtual_size: int  #: bytes


def inspect(path: Path) -> Disk:
    """What a file is: qcow2 by its header, raw where nothing else is recognised.

    `BuildError` for another format, or a qcow2 that is encrypted or refers to other files. The header
    is QEMU's docs/interop/qcow2.rst.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD).ljust(_HEAD, b"\0")
    for (offset, magic), name in _OTHERS.items():
        if head[offset:].startswith(magic):
            msg = f'The disk "{path.name}" is in the format "{name}", which cannot be read here'
            raise BuildError(msg, hint="Give a raw or qcow2 disk")
    if not head.startswith(_QCOW2):
        return Disk(path=path, format="raw", virtual_size=path.stat().st_size)
    _magic, version, backing, _length, _bits, size, crypt, features = _HEADER.unpack_from(head)
    if backing or crypt or (version > 2 and features & _EXTERNAL_DATA):
        msg = f'The disk "{path.name}" is encrypted or refers to other files'
        raise BuildError(msg, hint="Give a raw disk, or a qcow2 without a backing or data file")
    return Disk(path=path, format="qcow2", virtual_size=size)
