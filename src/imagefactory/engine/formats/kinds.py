"""The formats that a disk can be written in, and how each may be compressed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from imagefactory.core.errors import RequestError

FormatName = Literal["raw", "qcow2", "vmdk", "vhd", "vhd-dynamic", "vhdx", "vdi", "tar.gz"]
Compression = Literal["none", "zlib", "zstd"]

_SECTOR: Final = 512


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What can be asked of one format."""

    description: str
    compressions: tuple[Compression, ...]  #: the first is taken where none is asked for
    align: int = _SECTOR  #: bytes; the disk in it is as long as a multiple of this


KINDS: Final[Mapping[FormatName, Kind]] = {
    "raw": Kind(
        description="the bytes of the disk; empty parts take no space",
        compressions=("none", "zstd"),
        align=1,
    ),
    "qcow2": Kind(description="QEMU, version 3", compressions=("zlib", "zstd", "none")),
    "vmdk": Kind(description="VMware, streamOptimized", compressions=("zlib",)),
    "vhd": Kind(
        description="Azure and Hyper-V, fixed size, a multiple of 1 MiB",
        compressions=("none",),
        align=1 << 20,
    ),
    "vhd-dynamic": Kind(description="Hyper-V and XenServer, growing", compressions=("none",)),
    "vhdx": Kind(description="Hyper-V since 2012, growing", compressions=("none",)),
    "vdi": Kind(description="VirtualBox, growing", compressions=("none",)),
    "tar.gz": Kind(
        description='Google Compute Engine, a sparse "disk.raw"', compressions=("zlib",)
    ),
}


@dataclass(frozen=True, kw_only=True)
class Output:
    """One format as it is asked for: `chosen` has all that was left open filled in."""

    format: FormatName
    compression: Compression | None = None
    align: int | None = None  #: bytes; the disk is made as long as a multiple of this, with zeros

    def chosen(self) -> "Chosen":
        """`RequestError` for a compression that the format does not have."""
        kind = KINDS[self.format]
        compression = self.compression or kind.compressions[0]
        if compression not in kind.compressions:
            msg = f'The format "{self.format}" is not written with the compression "{compression}"'
            known = " or ".join(f'"{name}"' for name in kind.compressions)
            raise RequestError(msg, hint=f"Take {known}")
        return Chosen(format=self.format, compression=compression, align=self.align or kind.align)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """One format with nothing left open."""

    format: FormatName
    compression: Compression
    align: int

    def length(self, disk: int) -> int:
        """The length in bytes of a disk that holds one of so many."""
        return -(-disk // self.align) * self.align
