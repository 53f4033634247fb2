"""GRUB's two pieces that a BIOS starts, made to find each other on a disk.

The fields' places are those of GRUB's `include/grub/i386/pc/boot.h` and `include/grub/offsets.h`.
"""

import struct
from typing import Final

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk.layout import SECTOR

_PARAMETERS: Final = slice(0x03, 0x5A)  # a file system's, where a partition is started from
_CORE_SECTOR_AT: Final = 0x5C
_DRIVE_AT: Final = 0x64
_ANY_DRIVE: Final = 0xFF  # the one that the BIOS names
_DRIVE_CHECK: Final = slice(0x66, 0x68)
_NO_CHECK: Final = b"\x90\x90"  # it is for floppies
_TABLE: Final = slice(0x1B8, None)  # disk signature, partitions, boot signature
_SIGNATURE: Final = b"\x55\xaa"

_BLOCK_LIST: Final = struct.Struct("<QHH")  # first sector, sectors, segment
_BLOCK_LIST_AT: Final = SECTOR - _BLOCK_LIST.size
_SEGMENT: Final = 0x820  # the core's second sector is loaded at 0x8200


def boot_sector(image: bytes, *, mbr: bytes, core_at: int) -> bytes:
    """GRUB's `boot.img` as a disk's first sector: it loads the core from sector `core_at`."""
    if len(image) != SECTOR or not image.endswith(_SIGNATURE):
        msg = 'The boot loader\'s "boot.img" is not a boot sector'
        raise BuildError(msg, hint="Install the system's package grub-pc-bin again")
    sector = bytearray(image)
    sector[_PARAMETERS] = mbr[_PARAMETERS]
    struct.pack_into("<Q", sector, _CORE_SECTOR_AT, core_at)
    sector[_DRIVE_AT] = _ANY_DRIVE
    sector[_DRIVE_CHECK] = _NO_CHECK
    sector[_TABLE] = mbr[_TABLE]
    return bytes(sector)


def core_image(image: bytes, *, at: int, room: int) -> bytes:
    """GRUB's `core.img` as it lies from sector `at` on: its first sector loads all that follow.

    `room` is the partition's size in bytes.
    """
    if not SECTOR < len(image) <= room:
        msg = f'The boot loader\'s "core.img" has {len(image)} bytes, where {SECTOR + 1} to {room} fit'
        raise BuildError(msg)
    sectors = -(-len(image) // SECTOR)
    core = bytearray(image.ljust(sectors * SECTOR, b"\0"))
    _BLOCK_LIST.pack_into(core, _BLOCK_LIST_AT, at + 1, sectors - 1, _SEGMENT)
    return bytes(core)
