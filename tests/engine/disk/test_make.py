"""The parts of a disk land where the table says, and a full host is told in one sentence."""

import errno
import os
from pathlib import Path

import pytest

from imagefactory.core.errors import CommandFailed, SpaceError
from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.layout import MIB, Contents, Firmware, lay_out
from imagefactory.engine.disk.loaders import BiosLoader
from imagefactory.engine.disk.make import MakeDisk, _told_when_full, copy_in, entries, write_start
from imagefactory.engine.disk.platforms import PLATFORMS

PC = PLATFORMS["x86_64"]
IDS = DiskIds.derive(key="abc", name="web")
LAYOUT = lay_out(Contents(blocks=10, inodes=10), size=512 * MIB, firmware=Firmware.BOTH, name="web")
LOADER = BiosLoader(boot=b"B" * 510 + b"\x55\xaa", core=b"C" * 30_000)


def test_the_tables_entries_are_the_layouts_partitions() -> None:
    found = {entry.name: entry for entry in entries(LAYOUT, IDS, PC)}
    assert list(found) == ["bios", "esp", "root"]
    assert (found["bios"].first, found["bios"].last) == (2048, 4095)
    assert found["esp"].first == 4096
    assert (found["root"].last + 1) * 512 == LAYOUT.size - MIB
    assert (found["root"].number, found["root"].id) == (1, IDS.root)


def test_the_root_of_another_processor_is_of_another_type() -> None:
    """By which systemd finds and grows it."""
    arm = lay_out(
        Contents(blocks=10, inodes=10), size=512 * MIB, firmware=Firmware.UEFI, name="web"
    )
    found = {entry.name: entry for entry in entries(arm, IDS, PLATFORMS["aarch64"])}
    assert list(found) == ["esp", "root"]
    assert str(found["root"].type) == "b921b045-1df0-41c3-af44-4c6f280d3fae"


def test_the_start_of_a_disk_holds_the_boot_sector_the_table_and_the_core(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("w+b") as file:
        file.truncate(LAYOUT.size)
        write_start(file, LAYOUT, ids=IDS, platform=PC, loader=LOADER)
    with disk.open("rb") as file:
        start = file.read(2 * MIB)
        file.seek(-512, os.SEEK_END)
        end = file.read()
    assert start[0x80:0x100] == b"B" * 0x80
    assert start[446 + 4] == 0xEE
    assert start[512:520] == end[:8] == b"EFI PART"
    assert start[MIB : MIB + 500] == b"C" * 500
    assert not any(start[34 * 512 : MIB])
    assert disk.stat().st_blocks * 512 < MIB


def test_a_disk_for_uefi_alone_has_no_boot_code(tmp_path: Path) -> None:
    layout = lay_out(
        Contents(blocks=10, inodes=10), size=512 * MIB, firmware=Firmware.UEFI, name="web"
    )
    with (tmp_path / "disk").open("w+b") as file:
        file.truncate(layout.size)
        write_start(file, layout, ids=IDS, platform=PC, loader=None)
        file.seek(0)
        assert not any(file.read(446))


def test_holes_stay_holes_when_a_file_is_copied_in(tmp_path: Path) -> None:
    source, disk = tmp_path / "source", tmp_path / "disk"
    with source.open("wb") as file:
        file.write(b"a" * 4096)
        file.seek(32 * MIB)
        file.write(b"b" * 4096)
        file.truncate(64 * MIB)
    with disk.open("w+b") as file:
        file.truncate(128 * MIB)
        copy_in(source, file, at=MIB)
    with disk.open("rb") as file:
        file.seek(MIB)
        assert file.read(4097) == b"a" * 4096 + b"\0"
        file.seek(33 * MIB)
        assert file.read(4096) == b"b" * 4096
    assert disk.stat().st_blocks * 512 < MIB


def test_a_full_host_is_told_in_one_sentence() -> None:
    with pytest.raises(SpaceError) as refusal, _told_when_full("web"):
        Path("/dev/full").write_bytes(b"x")
    assert refusal.value.brief == 'This machine has no room for the disk of "web"'
    said = "mkfs.ext4: No space left on device while writing out and closing file system"
    with pytest.raises(SpaceError), _told_when_full("web"):
        raise CommandFailed("failed", exit_status=1, tail=said)


def test_other_faults_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), _told_when_full("web"):
        raise PermissionError(errno.EACCES, "no")
    with pytest.raises(CommandFailed), _told_when_full("web"):
        raise CommandFailed("failed", exit_status=1, tail="Bad magic number")


def test_steps_are_equal_by_value_and_their_key_knows_all_that_they_were_told() -> None:
    assert MakeDisk(name="web").key == MakeDisk(name="web", firmware=Firmware.BOTH).key
    assert MakeDisk(name="web").key != MakeDisk(name="web", size=20 << 30).key
