"""Gives vdi and vhdx files identities that depend on their disk alone, in place of qemu-img's random ones.

Places of fields: VirtualBox, VDICore.h; Microsoft, [MS-VHDX], sections 2.2 to 2.6.
"""

import struct
import uuid
from typing import BinaryIO, Final

_VDI_IDS: Final = 392  # the image's, then the last snapshot's

_VHDX_HEADERS: Final = (0x10000, 0x20000)
_VHDX_HEADER: Final = struct.Struct("<4sIQ16s16s16sHHIQ")
_VHDX_HEADER_SIZE: Final = 4096
_VHDX_REGIONS: Final = 0x30000
_REGION: Final = struct.Struct("<16sQII")
_METADATA: Final = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_ITEM: Final = struct.Struct("<16sIII4x")
_PAGE_83: Final = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746").bytes_le
_POLYNOMIAL: Final = 0x82F63B78  # CRC-32C, reflected (RFC 3720, appendix B.4)


def settle_vdi(file: BinaryIO, *, head: bytes) -> None:
    """Write both ids, made of the disk's first bytes."""
    file.seek(_VDI_IDS)
    file.write(_id(head, "vdi") + _id(head, "vdi snapshot"))


def settle_vhdx(file: BinaryIO, *, head: bytes) -> None:
    """Write the ids of both headers and the disk's own; the log, which is finished, becomes empty.

    Of the headers the one with the larger number counts; qemu-img begins to count anywhere.
    """
    headers = [(_read(file, place, _VHDX_HEADER_SIZE), place) for place in _VHDX_HEADERS]
    headers.sort(key=lambda header: _VHDX_HEADER.unpack_from(header[0])[2])
    for number, (packed, place) in enumerate(headers, 1):
        signature, _, _, _, _, pending, *rest = _VHDX_HEADER.unpack_from(packed)
        if signature != b"head" or any(pending):
            msg = "The vhdx file has not been closed"
            raise ValueError(msg)
        *_, log_length, log_place = rest
        _write(file, log_place, bytes(log_length))
        ids = _id(head, "vhdx file"), _id(head, "vhdx data")
        fields = (number, *ids, pending, *rest)
        checksum = _crc32c(_header(signature, 0, *fields))  # which counts itself as 0
        _write(file, place, _header(signature, checksum, *fields))
    metadata = _found(file, _VHDX_REGIONS, _METADATA, _REGION, count_at=8, first=16)
    disk = _found(file, metadata, _PAGE_83, _ITEM, count_at=10, first=32)
    _write(file, metadata + disk, _id(head, "vhdx disk"))


def _header(*fields: object) -> bytes:
    return _VHDX_HEADER.pack(*fields).ljust(_VHDX_HEADER_SIZE, b"\0")


def _found(
    file: BinaryIO, table: int, wanted: bytes, entry: struct.Struct, *, count_at: int, first: int
) -> int:
    """The place that an entry of a table gives."""
    (count,) = struct.unpack("<H", _read(file, table + count_at, 2))
    for packed in entry.iter_unpack(_read(file, table + first, count * entry.size)):
        if packed[0] == wanted:
            return int(packed[1])
    msg = "The vhdx file lacks a part of its metadata"
    raise ValueError(msg)


def _id(head: bytes, what: str) -> bytes:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{what} {head.hex()}").bytes_le


def _read(file: BinaryIO, place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)


def _write(file: BinaryIO, place: int, data: bytes) -> None:
    file.seek(place)
    file.write(data)


def _crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
    return register ^ 0xFFFFFFFF
