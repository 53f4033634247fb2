"""Partition tables, written and read byte by byte (UEFI specification 2.10, section 5)."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from imagefactory.engine.disk.layout import SECTOR

#: partition types; a root's makes systemd find and grow it (Discoverable Partitions Specification)
BIOS_BOOT: Final = UUID("21686148-6449-6e6f-744e-656564454649")
EFI_SYSTEM: Final = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX_ROOT_X86_64: Final = UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
LINUX_ROOT_ARM64: Final = UUID("b921b045-1df0-41c3-af44-4c6f280d3fae")
LINUX_DATA: Final = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")

_SIGNATURE: Final = b"EFI PART"
_REVISION: Final = 0x00010000
_HEADER: Final = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY: Final = struct.Struct("<16s16sQQQ72s")
_ENTRIES: Final = 128
_ENTRIES_SECTORS: Final = _ENTRIES * _ENTRY.size // SECTOR
_TABLE_SECTORS: Final = 1 + _ENTRIES_SECTORS  # a header and its entries
HEAD: Final = (1 + _TABLE_SECTORS) * SECTOR  #: bytes at a disk's beginning that `read` needs
_NAME_UNITS: Final = 36  # of UTF-16

_MBR_PARTITION: Final = struct.Struct("<B3sB3sII")
_MBR_PARTITIONS_AT: Final = 0x1BE
_MBR_SIGNATURE: Final = b"\x55\xaa"
_PROTECTIVE: Final = 0xEE


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One partition, in sectors of 512 bytes."""

    number: int  #: from 1
    type: UUID
    id: UUID
    first: int
    last: int  #: the last sector that belongs to it
    name: str  #: at most 36 UTF-16 units


@dataclass(frozen=True, kw_only=True)
class Table:
    """The bytes of a partition table: both copies."""

    primary: bytes  #: from the disk's first sector on, the protective MBR included
    backup: bytes  #: the disk's last sectors


def table(entries: Sequence[Entry], *, disk: UUID, sectors: int) -> Table:
    """The table of a disk of so many sectors. `ValueError` when a partition cannot be where it is said to be."""
    first, last = 1 + _TABLE_SECTORS, sectors - 1 - _TABLE_SECTORS
    _check(entries, first=first, last=last)
    array = bytearray(_ENTRIES * _ENTRY.size)
    for entry in entries:
        _ENTRY.pack_into(array, (entry.number - 1) * _ENTRY.size, *_fields(entry))

    def header(*, own: int, other: int, entries_at: int) -> bytes:
        content = (own, other, first, last, disk.bytes_le, entries_at, _ENTRIES, _ENTRY.size)
        return _header(*content, zlib.crc32(array))

    return Table(
        primary=protective_mbr(sectors)
        + header(own=1, other=sectors - 1, entries_at=2)
        + bytes(array),
        backup=bytes(array) + header(own=sectors - 1, other=1, entries_at=sectors - _TABLE_SECTORS),
    )


def read(head: bytes) -> list[Entry]:
    """The partitions in a disk's first sectors; none where there is no whole table of ours."""
    header = head[SECTOR : SECTOR + _HEADER.size].ljust(_HEADER.size, b"\0")
    signature, _revision, _size, _checksum, _zero, *content = _HEADER.unpack(header)
    array = head[2 * SECTOR : _TABLE_SECTORS * SECTOR + SECTOR]
    if signature != _SIGNATURE or zlib.crc32(array) != content[-1]:
        return []
    found = []
    for number, fields in enumerate(_ENTRY.iter_unpack(array), start=1):
        kind, own, first, last, _flags, name = fields
        if any(kind):
            words = name.decode("utf-16-le", "replace").rstrip("\0")
            ids = {"type": UUID(bytes_le=kind), "id": UUID(bytes_le=own)}
            found.append(Entry(number=number, first=first, last=last, name=words, **ids))
    return found


def protective_mbr(sectors: int) -> bytes:
    """The first sector, in which one partition of a type of its own covers all (section 5.2.3)."""
    covered = min(sectors - 1, 0xFFFFFFFF)
    partition = (0, b"\x00\x02\x00", _PROTECTIVE, b"\xff\xff\xff", 1, covered)
    mbr = bytearray(SECTOR)
    _MBR_PARTITION.pack_into(mbr, _MBR_PARTITIONS_AT, *partition)
    mbr[-len(_MBR_SIGNATURE) :] = _MBR_SIGNATURE
    return bytes(mbr)


def _header(*content: object) -> bytes:
    """A header sector; its checksum is taken while the checksum's own field is zero."""

    def packed(checksum: int) -> bytes:
        return _HEADER.pack(_SIGNATURE, _REVISION, _HEADER.size, checksum, 0, *content)

    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")


def _fields(entry: Entry) -> tuple[bytes, bytes, int, int, int, bytes]:
    name = entry.name.encode("utf-16-le")
    return entry.type.bytes_le, entry.id.bytes_le, entry.first, entry.last, 0, name


def _check(entries: Sequence[Entry], *, first: int, last: int) -> None:
    if len({entry.number for entry in entries}) < len(entries):
        msg = "Two partitions have one number"
        raise ValueError(msg)
    end = first - 1
    for entry in sorted(entries, key=lambda entry: entry.first):
        if not 1 <= entry.number <= _ENTRIES:
            msg = f"A table has no partition {entry.number}"
            raise ValueError(msg)
        if not end < entry.first <= entry.last <= last:
            msg = f"Partition {entry.number} overlaps another, or the table"
            raise ValueError(msg)
        if len(entry.name.encode("utf-16-le")) > 2 * _NAME_UNITS:
            msg = f"The name of partition {entry.number} is too long"
            raise ValueError(msg)
        end = entry.last
