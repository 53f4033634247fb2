"""Where on a disk each partition lies, decided from what it must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagefactory.core.errors import SpaceError

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

DEFAULT_SIZE: Final = 10 * GIB
SECTOR: Final = 512
BLOCK: Final = 4096  #: of the root file system

_BIOS_SIZE: Final = MIB
_ESP_SIZE: Final = 64 * MIB  # FAT32 begins at 33 MiB, and boot loaders take 10
_TABLE_SIZE: Final = MIB  # before the first partition, and after the last

INODE_SIZE: Final = 256
JOURNAL_SIZE: Final = 64 * MIB
_JOURNALS: Final = ((128 * MIB, 4 * MIB), (GIB, 16 * MIB), (2 * GIB, 32 * MIB))
_BYTES_PER_INODE: Final = 16 * KIB
_COPIES_SIZE: Final = 48 * MIB  # superblock copies, each with room for a disk 1,024 times as large
_FREE_SIZE: Final = 64 * MIB  # logs, package lists: a full disk boots badly
_FULL: Final = 95  # percent that users other than root may fill


class Firmware(StrEnum):
    """What starts the disk."""

    BOTH = "bios+uefi"
    UEFI = "uefi"
    BIOS = "bios"

    @property
    def bios(self) -> bool:
        """Whether the BIOS of a PC starts it."""
        return self is not Firmware.UEFI

    @property
    def uefi(self) -> bool:
        """Whether UEFI firmware starts it."""
        return self is not Firmware.BIOS


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a root file system has to hold."""

    blocks: int  #: of 4 KiB, for files and folders
    inodes: int


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A part of a disk, in bytes."""

    number: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.size


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A disk: the boot loader's partitions first, the root last, so that it can grow.

    The numbers are those that cloud images have: root is 1 whatever else there is.
    """

    size: int  #: bytes, whole MiB
    bios: Partition | None
    esp: Partition | None
    root: Partition
    inodes: int  #: that the root file system is made with
    others: tuple[Partition, ...] = ()  #: file systems beside the root's, as they were asked for


def lay_out(
    contents: Contents, *, size: int, firmware: Firmware, name: str, others: Sequence[int] = ()
) -> Layout:
    """The layout of a disk of `size` bytes, rounded up to whole MiB, as are the sizes of `others`.

    `SpaceError` when the contents do not fit, saying how much they need.
    """
    size = _whole_mib(size)
    end = _TABLE_SIZE
    bios = esp = None
    if firmware.bios:
        bios = Partition(number=14, start=end, size=_BIOS_SIZE)
        end = bios.end
    if firmware.uefi:
        esp = Partition(number=15, start=end, size=_ESP_SIZE)
        end = esp.end
    beside = []
    for number, wanted in enumerate(others, start=2):
        beside.append(Partition(number=number, start=end, size=_whole_mib(wanted)))
        end = beside[-1].end
    needed = end + _least_root(contents) + _TABLE_SIZE
    if size < needed:
        msg = f'The disk of "{name}" is {_below(size)}, but the system needs at least {_above(needed)}'
        raise SpaceError(msg, hint="Raise <size> under <disk> in the template")
    root = Partition(number=1, start=end, size=size - end - _TABLE_SIZE)
    return Layout(
        size=size,
        bios=bios,
        esp=esp,
        root=root,
        inodes=_inodes(contents, root.size),
        others=tuple(beside),
    )


def check_room(contents: Contents, *, size: int, mount: str) -> int:
    """How many inodes a file system of `size` bytes beside the root is made with.

    `SpaceError` when the contents do not fit.
    """
    inodes = _inodes(contents, size)
    needed = contents.blocks * BLOCK + inodes * INODE_SIZE + size // KIB
    needed += journal_size(size) + min(_COPIES_SIZE, size // 64)
    if needed * 100 > size * _FULL:
        held = contents.blocks * BLOCK
        msg = (
            f'The filesystem of "{mount}" is {_below(size)}, and {_above(held)} of files are to fit'
        )
        raise SpaceError(msg, hint="Raise its size under <filesystems> in the template")
    return inodes


def journal_size(size: int) -> int:
    """What the journal of a file system beside the root takes, as mke2fs(8) would choose it."""
    return next((journal for below, journal in _JOURNALS if size < below), JOURNAL_SIZE)


def _inodes(contents: Contents, size: int) -> int:
    return max(size // _BYTES_PER_INODE, contents.inodes * 5 // 4)


def _needed(contents: Contents, size: int) -> int:
    """What the contents take in a root file system of this size, its own tables included."""
    tables = _inodes(contents, size) * INODE_SIZE + size // KIB
    return contents.blocks * BLOCK + tables + JOURNAL_SIZE + _COPIES_SIZE + _FREE_SIZE


def _least_root(contents: Contents) -> int:
    size = 0
    while _needed(contents, size) * 100 > size * _FULL:
        size = _whole_mib(-(-_needed(contents, size) * 100 // _FULL))
    return size


def _whole_mib(size: int) -> int:
    return -(-size // MIB) * MIB


def _below(size: int) -> str:
    if size < GIB:
        return f"{size // MIB} MiB"
    return f"{size * 10 // GIB / 10:g} GiB"


def _above(size: int) -> str:
    if size < GIB:
        return f"{-(-size // MIB)} MiB"
    return f"{-(-size * 10 // GIB) / 10:g} GiB"
