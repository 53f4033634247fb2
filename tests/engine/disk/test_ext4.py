"""What a tree needs is added up right, and the times in its file system depend on it alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imagefactory.engine.disk import times
from imagefactory.engine.disk.ext4 import count
from imagefactory.engine.disk.layout import Contents

EPOCH = 1_700_000_000

needs_e2fsprogs = pytest.mark.skipif(
    shutil.which("mkfs.ext4", path="/usr/sbin:/usr/bin") is None,
    reason="e2fsprogs is not installed",
)


def test_a_listing_is_added_up() -> None:
    listing = (
        "d 4096 8 5 0:1\n"  # one block
        "f 1 8 1 0:2\n"  # one
        "f 4097 16 1 0:3\n"  # two
        "f 0 0 1 0:4\n"  # none
        "f 9000 24 2 0:5\n"  # three, once for both names
        "f 9000 24 2 0:5\n"
        "f 9000 24 2 1:5\n"  # three, of another file system
        "f 1073741824 8 1 0:6\n"  # one, and a hole
        "l 12 0 1 0:7\n"  # at most one
        "p 0 0 1 0:8\n"
        "s 0 0 1 0:9\n"
    )
    assert count(listing) == Contents(blocks=12, inodes=10)


def a_filesystem(folder: Path, *, offset: int) -> Path:
    """A real one that is part of a larger file, made as `ext4.make` makes it."""
    tree, disk = folder / "tree", folder / "disk"
    (tree / "etc").mkdir(parents=True)
    for number in range(300):
        (tree / "etc" / f"file{number}").write_text(str(number))
    command = ["mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", "-O", "64bit,metadata_csum"]
    command += ["-E", f"offset={offset}", "-d", str(tree), str(disk), "32M"]
    subprocess.run(
        command, check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    return disk


def alone(disk: Path, *, offset: int) -> Path:
    copy = disk.with_name("alone")
    copy.write_bytes(disk.read_bytes()[offset:])
    return copy


def stat(filesystem: Path, path: str) -> dict[str, str]:
    said = subprocess.run(
        ["/usr/sbin/debugfs", "-R", f"stat {path}", filesystem],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.strip().split(": ", 1) for line in said.stdout.splitlines() if "time: " in line]
    return {name: value.split(" ")[0] for name, value in lines}


@needs_e2fsprogs
def test_each_inode_gets_one_time_no_later_than_the_epoch(tmp_path: Path) -> None:
    offset = 3 << 20
    (tmp_path / "tree" / "folder").mkdir(parents=True)
    (tmp_path / "tree" / "old").touch()
    for name in ("folder", "old"):
        os.utime(tmp_path / "tree" / name, (1_600_000_001, 1_600_000_000))
    disk = a_filesystem(tmp_path, offset=offset)
    with disk.open("r+b") as file:
        times.settle(file, offset=offset, epoch=EPOCH)
    filesystem = alone(disk, offset=offset)
    subprocess.run(["/usr/sbin/e2fsck", "-fn", filesystem], check=True, capture_output=True)
    old, new = stat(filesystem, "/old"), stat(filesystem, "/etc/file7")
    folder = stat(filesystem, "/folder")
    for name in ("atime", "ctime", "mtime"):
        assert old[name] == f"0x{1_600_000_000:08x}:00000000"
        assert new[name] == folder[name] == f"0x{EPOCH:08x}:00000000"


@needs_e2fsprogs
@pytest.mark.parametrize("epoch", [0, (1 << 31) - 1, 1 << 31, (1 << 32) + 5])
def test_epochs_of_any_decade_are_kept(tmp_path: Path, epoch: int) -> None:
    disk = a_filesystem(tmp_path, offset=0)
    with disk.open("r+b") as file:
        times.settle(file, offset=0, epoch=epoch)
    subprocess.run(["/usr/sbin/e2fsck", "-fn", disk], check=True, capture_output=True)
    mtime = stat(disk, "/etc/file7")["mtime"]
    low, extra = (int(part, 16) for part in mtime.split(":"))
    signed = low - (1 << 32) if low >> 31 else low
    assert signed + ((extra & 3) << 32) <= epoch


@needs_e2fsprogs
def test_settling_twice_is_settling_once(tmp_path: Path) -> None:
    disk = a_filesystem(tmp_path, offset=0)
    with disk.open("r+b") as file:
        times.settle(file, offset=0, epoch=EPOCH)
        file.flush()
        once = disk.read_bytes()
        times.settle(file, offset=0, epoch=EPOCH)
    assert disk.read_bytes() == once


def test_what_is_no_filesystem_is_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(8192))
    with disk.open("r+b") as file, pytest.raises(ValueError, match="no ext4"):
        times.settle(file, offset=0, epoch=EPOCH)
