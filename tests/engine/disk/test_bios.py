"""What a BIOS starts finds the rest of itself."""

import struct

import pytest

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk.bios import boot_sector, core_image

MIB = 1 << 20
MBR = bytes(range(256)) + bytes(190) + b"P" * 64 + b"\x55\xaa"
BOOT = b"\xeb\x63\x90" + b"c" * 507 + b"\x55\xaa"


def test_the_boot_sector_loads_the_core_from_where_it_lies() -> None:
    sector = boot_sector(BOOT, mbr=MBR, core_at=2048)
    assert len(sector) == 512
    assert struct.unpack_from("<Q", sector, 0x5C) == (2048,)
    assert sector[0x64] == 0xFF, "from the drive that the BIOS names"
    assert sector[0x66:0x68] == b"\x90\x90", "which is no floppy"


def test_the_boot_sector_keeps_the_partitions_and_the_code() -> None:
    sector = boot_sector(BOOT, mbr=MBR, core_at=2048)
    assert sector[:3] == BOOT[:3]
    assert sector[0x03:0x5A] == MBR[0x03:0x5A]
    assert sector[0x68:0x1B8] == BOOT[0x68:0x1B8]
    assert sector[0x1B8:] == MBR[0x1B8:]


@pytest.mark.parametrize("image", [b"", BOOT[:-1], bytes(512), BOOT + BOOT])
def test_what_is_no_boot_sector_is_refused(image: bytes) -> None:
    with pytest.raises(BuildError, match=r'"boot.img" is not a boot sector'):
        boot_sector(image, mbr=MBR, core_at=2048)


@pytest.mark.parametrize(("length", "more"), [(513, 1), (1024, 1), (1025, 2), (MIB, 2047)])
def test_the_cores_first_sector_lists_all_others(length: int, more: int) -> None:
    image = bytes(number % 251 for number in range(length))
    core = core_image(image, at=2048, room=MIB)
    assert len(core) == (1 + more) * 512
    assert struct.unpack_from("<QHH", core, 500) == (2049, more, 0x820)
    assert core[:500] == image[:500]
    assert core[512:length] == image[512:]
    assert not any(core[length:])


@pytest.mark.parametrize("length", [0, 512, MIB + 1])
def test_a_core_that_cannot_be_or_does_not_fit_is_refused(length: int) -> None:
    with pytest.raises(BuildError, match=rf'"core.img" has {length} bytes'):
        core_image(bytes(length), at=2048, room=MIB)
