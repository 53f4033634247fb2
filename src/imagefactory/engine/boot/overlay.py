"""The throw-away copy that a machine writes to, so that the disk itself is only ever read."""

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, Literal

from imagefactory.core.errors import BuildError
from imagefactory.engine.command import Tools

Format = Literal["raw", "qcow2", "vmdk", "vpc", "vdi", "vhdx"]

_HEAD: Final = 64 << 10
_SECTOR: Final = 512
_QCOW2_DATA_FILE: Final = 1 << 2  # incompatible feature: the data lie in another file
_VHD_DIFFERENCING: Final = 4
_VMDK_DESCRIPTOR_LIMIT: Final = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """A disk that is read through one open file and written to another that has no name.

    Both are handed to QEMU as descriptors: what was looked at is what is booted, and nothing is left
    on disk however the boot ends.
    """

    format: Format  #: of the disk below
    base: int  #: descriptor of the disk, read-only
    top: int  #: descriptor of a qcow2 file for what the machine writes

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What QEMU must inherit."""
        return (self.base, self.top)

    def blockdevs(self) -> list[dict[str, object]]:
        """The nodes for `-blockdev`; the last is called `disk` (QEMU, qapi/block-core)."""
        below: dict[str, object] = {"backing": None} if self.format in {"qcow2", "vmdk"} else {}
        fast = {"direct": False, "no-flush": True}
        return [
            {
                "driver": "file",
                "node-name": "base-file",
                "filename": _path(self.base),
                "read-only": True,
            },
            {
                "driver": self.format,
                "node-name": "base",
                "file": "base-file",
                "read-only": True,
                **below,
            },
            {
                "driver": "file",
                "node-name": "disk-file",
                "filename": _path(self.top),
                "cache": fast,
            },
            {
                "driver": "qcow2",
                "node-name": "disk",
                "file": "disk-file",
                "backing": "base",
                "discard": "unmap",
                "cache": fast,
            },
        ]


@contextmanager
def overlay(disk: Path, *, tools: Tools, scratch: Path, size: int | None) -> Iterator[Overlay]:
    """An overlay as large as the disk, or of `size` bytes when that is more; gone with the block."""
    with _opened(disk) as base, TemporaryFile(dir=scratch) as top:
        form = format_of(disk.name, _head(base.fileno()), _tail(base.fileno()))
        length = max(_virtual_size(base.fileno(), form, tools), size or 0)
        length = -(-length // _SECTOR) * _SECTOR
        tools.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", _path(top.fileno()), str(length)],
            pass_fds=[top.fileno()],
        )
        yield Overlay(format=form, base=base.fileno(), top=top.fileno())


def _opened(disk: Path) -> BinaryIO:
    try:
        return disk.open("rb")
    except OSError as error:
        msg = f'The disk "{disk}" cannot be read: {error.strerror}'
        raise BuildError(msg) from error


def format_of(name: str, head: bytes, tail: bytes) -> Format:
    """The format that the first 64 KiB and the last 512 bytes of a disk show.

    QEMU's own guess is never used: a guest could write a header into its raw disk that names a file of
    the host. For the same reason a disk that refers to another file is refused (`BuildError`).
    """
    form = _format_by_magic(head, tail)
    if _refers_elsewhere(form, head):
        msg = f'The disk "{name}" refers to another file and is not whole without it'
        raise BuildError(msg, hint='Make it whole with "qemu-img convert"')
    return form


def _format_by_magic(head: bytes, tail: bytes) -> Format:
    if head[:4] == b"QFI\xfb":
        return "qcow2"
    if head[:4] == b"KDMV" or head.startswith(b"# Disk DescriptorFile"):
        return "vmdk"
    if head[:8] == b"vhdxfile":
        return "vhdx"
    if head[64:68] == b"\x7f\x10\xda\xbe":
        return "vdi"
    if head[:8] == b"conectix" or tail[:8] == b"conectix":
        return "vpc"
    return "raw"


def _refers_elsewhere(form: Format, head: bytes) -> bool:
    match form:
        case "qcow2":
            (backing,) = struct.unpack_from(">Q", head, 8)
            (version,) = struct.unpack_from(">I", head, 4)
            features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
            return bool(backing or features & _QCOW2_DATA_FILE)
        case "vmdk":
            return _vmdk_refers_elsewhere(head)
        case "vpc" if head[:8] == b"conectix":
            return bool(struct.unpack_from(">I", head, 60)[0] == _VHD_DIFFERENCING)
        case _:
            return False


def _vmdk_refers_elsewhere(head: bytes) -> bool:
    """Whether a VMDK is only a description, or has a parent (Virtual Disk Format 5.0, "Sparse Extents")."""
    if head[:4] != b"KDMV":
        return True
    (capacity,) = struct.unpack_from("<Q", head, 12)
    start, sectors = (value * _SECTOR for value in struct.unpack_from("<QQ", head, 28))
    if capacity == 0 or sectors > _VMDK_DESCRIPTOR_LIMIT or start + sectors > len(head):
        return True
    return b"parentfilenamehint" in head[start : start + sectors].lower()


def _virtual_size(descriptor: int, form: Format, tools: Tools) -> int:
    if form == "raw":
        return os.fstat(descriptor).st_size
    said = tools.run(
        ["qemu-img", "info", "--output", "json", "-f", form, _path(descriptor)],
        pass_fds=[descriptor],
        timeout=60,
        quiet=True,
    )
    return int(json.loads(said)["virtual-size"])


def _head(descriptor: int) -> bytes:
    return os.pread(descriptor, _HEAD, 0).ljust(_SECTOR, b"\0")


def _tail(descriptor: int) -> bytes:
    length = os.fstat(descriptor).st_size
    return os.pread(descriptor, _SECTOR, max(0, length - _SECTOR))


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
