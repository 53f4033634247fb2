"""A btrfs file system has all of the files that it is made of, and btrfs's own programs find it sound."""

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagefactory.core.errors import SpaceError
from imagefactory.engine.disk import btrfs
from imagefactory.engine.disk.btrfs_files import name_hash
from imagefactory.engine.disk.btrfs_trees import NODE, Identity, blocks, shape
from imagefactory.engine.disk.ext4_files import Ext4Files
from imagefactory.engine.disk.ids import VolumeIds
from imagefactory.engine.disk.layout import MIB

PLACE = 3 * MIB
IDS = VolumeIds.derive(key="abc", name="web", mount="/")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

needs_btrfs = pytest.mark.skipif(
    any(shutil.which(name, path=PATH) is None for name in ("btrfs", "mkfs.ext4")),
    reason="btrfs-progs or e2fsprogs is not installed",
)


def run(*words: str | Path) -> str:
    said = subprocess.run(words, check=False, capture_output=True, text=True, env={"PATH": PATH})
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def ext4(folder: Path, tree: Path) -> Path:
    made = folder / "ext4"
    features = ["-b", "4096", "-I", "256", "-O", "64bit,metadata_csum"]
    run("mkfs.ext4", "-q", "-F", *features, "-d", tree, made, "300M")
    return made


def copied(folder: Path, source: Path, *, size: int = 256 * MIB) -> Path:
    """The btrfs file system that is made of it; it lies in a larger file."""
    with source.open("rb") as files, (folder / "disk").open("w+b") as disk:
        disk.truncate(PLACE + size)
        btrfs.write(
            Ext4Files(files, offset=0, name="ext4"),
            disk,
            offset=PLACE,
            size=size,
            ids=IDS,
            label="root",
            mount="/",
        )
        disk.seek(PLACE)
        alone = folder / "btrfs"
        alone.write_bytes(disk.read())
    return alone


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "many").mkdir(parents=True)
    for number in range(1200):  # the folder's entries are more than one block
        (tree / "many" / f"a file with the number {number}").write_text(str(number))
    (tree / "empty").mkdir(mode=0o700)
    for size in (0, 1, 2048, 2049, 4096, 5000):
        (tree / f"file-{size}").write_bytes(os.urandom(size))
    (tree / "large").write_bytes(
        os.urandom(70 * MIB + 7)
    )  # a copy of the superblock lies in its way
    with (tree / "holes").open("wb") as file:
        file.write(b"start")
        file.seek(3 * MIB)
        file.write(b"middle")
        file.truncate(5 * MIB + 1)
    (tree / "file-1").chmod(0o4751)
    os.utime(tree / "file-1", (1, 1_600_000_000))
    (tree / "link").symlink_to("many/" + "x" * 300)
    (tree / "empty" / "other name").hardlink_to(tree / "file-5000")
    os.setxattr(tree / "file-5000", "user.colour", b"green")
    os.mkfifo(tree / "pipe")
    return tree


def described(folder: Path) -> Mapping[str, tuple[object, ...]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = b""
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif path.is_symlink():
            content = os.fsencode(path.readlink())
        elif stat.S_ISFIFO(status.st_mode):
            continue  # `btrfs restore` leaves them out
        mtime = 0 if path.is_symlink() or path.is_dir() else int(status.st_mtime)
        found[str(path.relative_to(folder))] = (status.st_mode, mtime, content)
    return found


@needs_btrfs
def test_it_is_sound_and_has_every_file(tmp_path: Path, tree: Path) -> None:
    made = copied(tmp_path, ext4(tmp_path, tree))
    run("btrfs", "check", "--check-data-csum", made)
    restored = tmp_path / "restored"
    restored.mkdir()
    run("btrfs", "restore", "--metadata", "--symlinks", "--xattr", made, restored)
    shutil.rmtree(tree / "lost+found", ignore_errors=True)
    assert described(restored) == described(tree)
    assert os.getxattr(restored / "file-5000", "user.colour") == b"green"
    dump = run("btrfs", "inspect-internal", "dump-tree", "-t", "fs", made)
    assert "name: other name" in dump
    assert "links 2" in dump
    assert f"mode {stat.S_IFIFO | (tree / 'pipe').stat().st_mode & 0o777:o}" in dump


@needs_btrfs
def test_the_same_files_are_the_same_bytes(tmp_path: Path, tree: Path) -> None:
    source = ext4(tmp_path, tree)
    first = copied(tmp_path, source).read_bytes()
    assert copied(tmp_path, source).read_bytes() == first
    told = run("btrfs", "inspect-internal", "dump-super", tmp_path / "btrfs")
    assert str(IDS.filesystem) in told
    assert str(IDS.partition) in told


@needs_btrfs
def test_one_without_files_is_sound(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    made = copied(tmp_path, ext4(tmp_path, tmp_path / "tree"), size=btrfs.LEAST)
    run("btrfs", "check", "--check-data-csum", made)


@needs_btrfs
def test_files_that_do_not_fit_are_told(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(os.urandom(130 * MIB))
    with pytest.raises(SpaceError, match='The filesystem of "/" is 128 MiB'):
        copied(tmp_path, ext4(tmp_path, tmp_path / "tree"), size=btrfs.LEAST)


def test_a_name_has_the_hash_by_which_the_kernel_looks_for_it() -> None:
    """That of the entry for the subvolume, as `mkfs.btrfs` writes it."""
    assert name_hash(b"default") == 2378154706


def test_a_tree_has_as_many_blocks_as_its_shape_says() -> None:
    items = [((256, 1, number), bytes(number % 300)) for number in range(200_000)]
    identity = Identity(filesystem=IDS.filesystem, chunks=IDS.hash_seed)
    made = blocks(items, tree=5, addresses=iter(range(0, 1 << 40, NODE)), identity=identity)
    levels = shape(len(data) for _, data in items)
    assert [sum(block.level == level for block in made) for level in range(len(levels))] == levels
    assert len(levels) == 3
    assert all(len(block.content) == NODE for block in made)
