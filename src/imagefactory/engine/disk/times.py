"""Makes an ext4 file system's times depend on its files alone, not on when and where it was made.

`mkfs.ext4 -d` copies each file's change and access time, which no program can set. Places of fields:
Linux kernel, Documentation/filesystems/ext4, "Index Nodes", "Block Group Descriptors", "Super Block".
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO, Final

_SUPERBLOCK_AT: Final = 1024
_SUPERBLOCK_SIZE: Final = 1024
_MAGIC: Final = 0xEF53
_TIMES: Final = struct.Struct("<iii")  # access, change, modification
_TIMES_AT: Final = 0x08
_EXTRAS: Final = struct.Struct(
    "<III"
)  # change, modification, access: seconds' upper 2 bits, nanoseconds
_EXTRAS_AT: Final = 0x84
_CHECKSUM_LOW_AT: Final = 0x7C
_CHECKSUM_HIGH_AT: Final = 0x82
_UNINITIALISED: Final = 0x1
_POLYNOMIAL: Final = 0x82F63B78  # CRC-32C, reflected (RFC 3720, appendix B.4)


@dataclass(frozen=True, kw_only=True)
class _Geometry:
    """What the superblock says of a file system with 64-bit descriptors and checksums."""

    block: int  #: bytes
    groups: int
    inodes: int  #: in each group
    inode: int  #: bytes
    descriptor: int  #: bytes


def settle(file: IO[bytes], *, offset: int, epoch: int) -> None:
    """Give each file one time: its modification time, or `epoch` if that is later; folders, `epoch`.

    A folder's time tells when the tree was made, and in which order.

    `file` is a disk open for reading and writing, with a file system `offset` bytes into it that was
    made with `64bit` and `metadata_csum`; `ValueError` when there is none.
    """
    geometry = _geometry(_read(file, _SUPERBLOCK_SIZE, offset + _SUPERBLOCK_AT))
    for start, size in _tables(file, geometry, offset=offset):
        table = bytearray(_read(file, size, start))
        for at in range(0, size, geometry.inode):
            _settle_inode(table, at, size=geometry.inode, epoch=epoch)
        file.seek(start)
        file.write(table)


def _read(file: IO[bytes], size: int, at: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _geometry(superblock: bytes) -> _Geometry:
    (magic,) = struct.unpack_from("<H", superblock, 0x38)
    if magic != _MAGIC:
        msg = "There is no ext4 file system"
        raise ValueError(msg)
    blocks, log_block, per_group = struct.unpack_from("<4xI16xI4xI", superblock)
    (inodes,) = struct.unpack_from("<I", superblock, 0x28)
    (inode,) = struct.unpack_from("<H", superblock, 0x58)
    (descriptor,) = struct.unpack_from("<H", superblock, 0xFE)
    (upper,) = struct.unpack_from("<I", superblock, 0x150)
    groups = -(-(blocks | upper << 32) // per_group)
    return _Geometry(
        block=1024 << log_block, groups=groups, inodes=inodes, inode=inode, descriptor=descriptor
    )


def _tables(file: IO[bytes], geometry: _Geometry, *, offset: int) -> Iterator[tuple[int, int]]:
    """Place and size of the used part of each group's inode table."""
    size = geometry.groups * geometry.descriptor
    descriptors = _read(file, size, offset + geometry.block)
    for at in range(0, size, geometry.descriptor):
        low, flags, unused = struct.unpack_from("<8xI6xH8xH", descriptors, at)
        high, unused_high = struct.unpack_from("<I6xH", descriptors, at + 0x28)
        used = geometry.inodes - (unused | unused_high << 16)
        if used and not flags & _UNINITIALISED:
            place = (low | high << 32) * geometry.block
            yield offset + place, used * geometry.inode


def _settle_inode(table: bytearray, at: int, *, size: int, epoch: int) -> None:
    (mode,) = struct.unpack_from("<H", table, at)
    if not mode:
        return
    before = bytes(table[at : at + size])
    *_, seconds = _TIMES.unpack_from(table, at + _TIMES_AT)
    _, extra, _ = _EXTRAS.unpack_from(table, at + _EXTRAS_AT)
    time = epoch if stat.S_ISDIR(mode) else min(seconds + ((extra & 3) << 32), epoch)
    upper = time + (1 << 31) >> 32
    _TIMES.pack_into(table, at + _TIMES_AT, *[time - (upper << 32)] * 3)
    _EXTRAS.pack_into(table, at + _EXTRAS_AT, *[upper] * 3)
    effect = _effect_of_change(before, table, at)
    for field_at, part in ((_CHECKSUM_LOW_AT, effect & 0xFFFF), (_CHECKSUM_HIGH_AT, effect >> 16)):
        (old,) = struct.unpack_from("<H", table, at + field_at)
        struct.pack_into("<H", table, at + field_at, old ^ part)


def _effect_of_change(before: bytes, table: bytearray, at: int) -> int:
    """What a change does to an inode's checksum.

    A CRC is linear: the checksum of the new bytes is that of the old, XOR a value that depends on the
    bits that differ and their places alone. Thus nothing of the rest need be read.
    """
    effect = 0
    effects = _effects(len(before))
    for place, of_byte in effects.items():
        if change := before[place] ^ table[at + place]:
            effect ^= of_byte[change]
    return effect


@cache
def _effects(size: int) -> dict[int, list[int]]:
    """For each place of a time in an inode, and each change of its byte, what the checksum becomes."""
    places = [*range(_TIMES_AT, _TIMES_AT + _TIMES.size)]
    places += range(_EXTRAS_AT, _EXTRAS_AT + _EXTRAS.size)
    return {place: _effects_of_byte(size - place) for place in places}


def _effects_of_byte(count: int) -> list[int]:
    """The CRC register after each byte and the zeros behind it, `count` bytes in all."""
    bits = [_shifted(1 << bit, 8 * count) for bit in range(8)]
    return [_xor(bits, byte) for byte in range(256)]


def _xor(bits: list[int], byte: int) -> int:
    value = 0
    for bit, effect in enumerate(bits):
        if byte >> bit & 1:
            value ^= effect
    return value


def _shifted(register: int, steps: int) -> int:
    for _ in range(steps):
        register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
    return register
