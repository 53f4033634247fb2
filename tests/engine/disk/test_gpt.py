"""Partition tables hold what they were told, twice, and other programs agree."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.engine.disk.gpt import (
    BIOS_BOOT,
    EFI_SYSTEM,
    LINUX_ROOT_X86_64,
    Entry,
    Table,
    table,
)

SECTOR = 512
DISK = UUID("6f2d3b44-6bb7-5b32-8d0b-3ccf7b6a2f11")
KINDS = (BIOS_BOOT, EFI_SYSTEM, LINUX_ROOT_X86_64)


def an_entry(number: int, first: int, last: int, *, name: str = "root") -> Entry:
    return Entry(
        number=number,
        type=LINUX_ROOT_X86_64,
        id=UUID(int=number),
        first=first,
        last=last,
        name=name,
    )


@st.composite
def disks(draw: st.DrawFn) -> tuple[list[Entry], int]:
    """Partitions side by side, in any order of numbers, and a disk that is larger."""
    entries, free = [], 34
    for number in draw(st.lists(st.integers(1, 128), max_size=6, unique=True)):
        first = free + draw(st.integers(0, 5000))
        free = first + draw(st.integers(1, 1 << 40))
        entries.append(
            Entry(
                number=number,
                type=draw(st.sampled_from(KINDS)),
                id=draw(st.uuids()),
                first=first,
                last=free - 1,
                name=draw(st.sampled_from(["", "root", "é€😀", "x" * 36, "😀" * 18])),
            )
        )
    return entries, free + 33 + draw(st.integers(0, 5000))


def header(sector: bytes) -> tuple[int, ...]:
    """The fields of a header whose own checksum is right."""
    signature, revision, size, checksum = struct.unpack_from("<8sIII", sector)
    assert (signature, revision, size) == (b"EFI PART", 0x10000, 92)
    assert checksum == zlib.crc32(sector[:16] + bytes(4) + sector[20:92])
    assert not any(sector[92:])
    own, other, first, last = struct.unpack_from("<QQQQ", sector, 24)
    assert UUID(bytes_le=sector[56:72]) == DISK
    entries_at, count, length, entries_checksum = struct.unpack_from("<QIII", sector, 72)
    assert (count, length) == (128, 128)
    return own, other, first, last, entries_at, entries_checksum


def read(array: bytes) -> dict[int, Entry]:
    found = {}
    for number in range(1, 129):
        raw = array[(number - 1) * 128 : number * 128]
        if any(raw):
            first, last, attributes = struct.unpack_from("<QQQ", raw, 32)
            assert attributes == 0
            found[number] = Entry(
                number=number,
                type=UUID(bytes_le=raw[:16]),
                id=UUID(bytes_le=raw[16:32]),
                first=first,
                last=last,
                name=raw[56:].decode("utf-16-le").rstrip("\0"),
            )
    return found


@given(disks())
def test_both_copies_say_what_was_told_and_where_the_other_is(
    disk: tuple[list[Entry], int],
) -> None:
    entries, sectors = disk
    made = table(entries, disk=DISK, sectors=sectors)
    assert (len(made.primary), len(made.backup)) == (34 * SECTOR, 33 * SECTOR)
    array = made.primary[2 * SECTOR :]
    assert made.backup[: 32 * SECTOR] == array
    assert read(array) == {entry.number: entry for entry in entries}
    usable = (34, sectors - 34)
    first = header(made.primary[SECTOR : 2 * SECTOR])
    assert first == (1, sectors - 1, *usable, 2, zlib.crc32(array))
    second = header(made.backup[32 * SECTOR :])
    assert second == (sectors - 1, 1, *usable, sectors - 33, zlib.crc32(array))


@pytest.mark.parametrize(
    ("sectors", "covered"), [(20480, 20479), (1 << 32, 0xFFFFFFFF), (1 << 33, 0xFFFFFFFF)]
)
def test_old_programs_see_one_partition_that_covers_all(sectors: int, covered: int) -> None:
    mbr = table([], disk=DISK, sectors=sectors).primary[:SECTOR]
    assert mbr.endswith(b"\x55\xaa")
    assert not any(mbr[:446]), "no boot code, and no disk signature"
    active, kind = mbr[446], mbr[450]
    assert (active, kind) == (0, 0xEE)
    assert struct.unpack_from("<II", mbr, 454) == (1, covered)
    assert not any(mbr[462:510])


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([an_entry(1, 34, 99), an_entry(1, 100, 199)], "Two partitions have one number"),
        ([an_entry(0, 34, 99)], "no partition 0"),
        ([an_entry(129, 34, 99)], "no partition 129"),
        ([an_entry(1, 33, 99)], "Partition 1 overlaps"),
        ([an_entry(1, 34, 20480 - 33)], "Partition 1 overlaps"),
        ([an_entry(1, 34, 99), an_entry(2, 99, 199)], "Partition 2 overlaps"),
        ([an_entry(1, 99, 34)], "Partition 1 overlaps"),
        ([an_entry(1, 34, 99, name="x" * 37)], "name of partition 1 is too long"),
    ],
)
def test_a_table_that_cannot_be_is_refused(entries: list[Entry], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        table(entries, disk=DISK, sectors=20480)


def on_disk(made: Table, path: Path, sectors: int) -> Path:
    with path.open("wb") as file:
        file.write(made.primary)
        file.truncate(sectors * SECTOR)
        file.seek((sectors - 33) * SECTOR)
        file.write(made.backup)
    return path


def three() -> list[Entry]:
    return [
        Entry(
            number=1, type=LINUX_ROOT_X86_64, id=UUID(int=1), first=8192, last=16383, name="root"
        ),
        Entry(number=14, type=BIOS_BOOT, id=UUID(int=14), first=2048, last=4095, name="bios"),
        Entry(number=15, type=EFI_SYSTEM, id=UUID(int=15), first=4096, last=8191, name="esp"),
    ]


@pytest.mark.skipif(shutil.which("sgdisk") is None, reason="gdisk is not installed")
def test_sgdisk_finds_no_fault(tmp_path: Path) -> None:
    sectors = 20480
    disk = on_disk(table(three(), disk=DISK, sectors=sectors), tmp_path / "disk", sectors)
    said = subprocess.run(["sgdisk", "-v", "-p", disk], capture_output=True, text=True, check=True)
    assert "No problems found" in said.stdout
    assert str(DISK).upper() in said.stdout
    rows = [line.split() for line in said.stdout.splitlines() if line.strip()[:2].strip().isdigit()]
    assert [(row[0], row[5], row[6]) for row in rows] == [
        ("1", "8304", "root"),
        ("14", "EF02", "bios"),
        ("15", "EF00", "esp"),
    ]


@pytest.mark.skipif(shutil.which("sgdisk") is None, reason="gdisk is not installed")
def test_sgdisk_would_find_a_fault(tmp_path: Path) -> None:
    sectors = 20480
    disk = on_disk(table(three(), disk=DISK, sectors=sectors), tmp_path / "disk", sectors)
    with disk.open("r+b") as file:
        file.seek(2 * SECTOR + 32)  # of the root, which begins at 8192
        file.write(b"\xff")
    said = subprocess.run(["sgdisk", "-v", disk], capture_output=True, text=True, check=False)
    assert "No problems found" not in said.stdout


@pytest.mark.skipif(shutil.which("sfdisk") is None, reason="fdisk is not installed")
def test_sfdisk_finds_no_fault(tmp_path: Path) -> None:
    sectors = 20480
    disk = on_disk(table(three(), disk=DISK, sectors=sectors), tmp_path / "disk", sectors)
    said = subprocess.run(["sfdisk", "--verify", disk], capture_output=True, text=True, check=True)
    assert "No errors detected" in said.stdout
    assert said.stderr == ""
