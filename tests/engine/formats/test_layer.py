"""A disk's files become a tar that gives the same files, with all that the host's kernel would see."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk import gpt
from imagefactory.engine.disk.layout import SECTOR
from imagefactory.engine.formats import layer

_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"

pytestmark = pytest.mark.skipif(
    shutil.which("mkfs.ext4", path=_PATH) is None, reason="e2fsprogs is not installed"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of every kind that this user can make."""
    root = tmp_path / "tree"
    for name in ("etc", "bin", "many"):
        (root / name).mkdir(parents=True)
    (root / "etc" / "fstab").write_text("left out")
    (root / "etc" / "passwd").write_text("root")
    (root / "etc" / "passwd").chmod(0o640)
    os.utime(root / "etc" / "passwd", (10**9, 10**9))
    (root / "bin" / "tool").write_bytes(os.urandom(300_000))
    (root / "bin" / "tool").chmod(0o4755)
    os.setxattr(root / "bin" / "tool", "user.note", b"v\xff\x00l")
    (root / "bin" / "again").hardlink_to(root / "bin" / "tool")
    (root / "bin" / "short").symlink_to("tool")
    (root / "bin" / "long").symlink_to("/" + "x" * 100)
    (root / ("n" * 200)).write_text("a long name")
    (root / "ümläut").write_text("no ASCII")
    os.mkfifo(root / "pipe")
    with (root / "sparse").open("wb") as file:
        file.truncate(20 << 20)
        file.seek(10 << 20)
        file.write(b"in the middle")
    for number in range(2000):
        (root / "many" / f"a-file-with-the-number-{number}").write_text(str(number))
    return root


def a_filesystem(tree: Path, file: Path, *, offset: int = 0) -> Path:
    command = ["mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", "-O", "64bit,metadata_csum"]
    command += ["-E", f"offset={offset},root_owner=0:0", "-d", str(tree), str(file), "64M"]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": _PATH})
    return file


def test_every_file_is_what_it_was(tree: Path, tmp_path: Path) -> None:
    disk, out, root = a_filesystem(tree, tmp_path / "disk"), tmp_path / "tar", tmp_path / "root"
    made = layer.write(disk, out, excludes=["./etc/fstab"])
    assert made.size == out.stat().st_size
    root.mkdir()
    options = ["--xattrs", "--xattrs-include=user.*", "--warning=no-unknown-keyword"]
    subprocess.run(["tar", *options, "-xpf", out, "-C", root], check=True)
    (tree / "etc" / "fstab").unlink()
    names = sorted(path.relative_to(tree) for path in tree.rglob("*"))
    assert sorted(path.relative_to(root) for path in root.rglob("*")) == names
    for name in names:
        one, two = (tree / name).lstat(), (root / name).lstat()
        facts = ("st_mode", "st_uid", "st_gid")
        assert [getattr(one, fact) for fact in facts] == [getattr(two, fact) for fact in facts], (
            name
        )
        if not (tree / name).is_dir():
            assert (int(one.st_mtime), one.st_nlink) == (int(two.st_mtime), two.st_nlink), name
        if (tree / name).is_symlink():
            assert (tree / name).readlink() == (root / name).readlink()
        elif (tree / name).is_file():
            assert (tree / name).read_bytes() == (root / name).read_bytes(), name
    assert os.getxattr(root / "bin" / "tool", "user.note") == b"v\xff\x00l"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and gives files away")
def test_owners_devices_and_capabilities(tree: Path, tmp_path: Path) -> None:
    os.chown(tree / "etc" / "passwd", 70_000, 42)
    os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
    os.mknod(tree / "big", 0o60660, os.makedev(300, 70_000))
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(tree / "bin" / "tool", "security.capability", capability)
    disk, out = a_filesystem(tree, tmp_path / "disk"), tmp_path / "tar"
    layer.write(disk, out, excludes=())
    with tarfile.open(out) as tar:
        passwd, null, big = (tar.getmember(name) for name in ("etc/passwd", "null", "big"))
        assert (passwd.uid, passwd.gid) == (70_000, 42)
        assert (null.type, null.devmajor, null.devminor) == (tarfile.CHRTYPE, 1, 3)
        assert (big.type, big.devmajor, big.devminor) == (tarfile.BLKTYPE, 300, 70_000)
        found = tar.getmember("bin/again").pax_headers["SCHILY.xattr.security.capability"]
        assert found.encode("utf-8", "surrogateescape") == capability


def test_the_same_disk_is_the_same_tar(tree: Path, tmp_path: Path) -> None:
    disk = a_filesystem(tree, tmp_path / "disk")
    one, two = (layer.write(disk, tmp_path / name, excludes=()) for name in "ab")
    assert one == two
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_root_is_found_in_a_table_of_partitions(tree: Path, tmp_path: Path) -> None:
    disk, start, size = tmp_path / "disk", 1 << 20, 80 << 20
    a_filesystem(tree, disk, offset=start)
    own = UUID(int=7)
    entry = gpt.Entry(
        number=3,
        type=gpt.LINUX_ROOT_X86_64,
        id=own,
        first=start // SECTOR,
        last=(size - start) // SECTOR - 1,
        name="root",
    )
    table = gpt.table([entry], disk=own, sectors=size // SECTOR)
    assert gpt.read(table.primary) == [entry]
    with disk.open("r+b") as file:
        file.truncate(size)
        file.write(table.primary)
    layer.write(disk, tmp_path / "tar", excludes=())
    with tarfile.open(tmp_path / "tar") as tar:
        assert "etc/passwd" in tar.getnames()


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("./etc/fstab", {"etc/fstab"}),
        ("fstab", {"etc/fstab"}),
        ("many", {"many"}),
        ("./etc", {"etc", "etc/fstab", "etc/passwd"}),
        ("etc/*", {"etc/fstab", "etc/passwd"}),
        ("./fstab", set()),
    ],
)
def test_patterns_fit_as_those_of_tar(
    tree: Path, tmp_path: Path, pattern: str, left_out: set[str]
) -> None:
    shutil.rmtree(tree / "many")
    (tree / "many").mkdir()
    disk = a_filesystem(tree, tmp_path / "disk")
    names = []
    for number, excludes in enumerate(([], [pattern])):
        layer.write(disk, tmp_path / f"tar{number}", excludes=excludes)
        with tarfile.open(tmp_path / f"tar{number}") as tar:
            names.append(set(tar.getnames()))
    assert names[0] - names[1] == left_out
    command: list[str | Path] = [
        "tar",
        "--exclude",
        pattern,
        "-cf",
        tmp_path / "by-tar",
        "-C",
        tree,
        ".",
    ]
    subprocess.run(command, check=True)
    with tarfile.open(tmp_path / "by-tar") as tar:
        assert {name.removeprefix("./") for name in tar.getnames()} - {"."} == names[1]


@pytest.mark.parametrize("content", [b"", b"words" * 1000, b"\0" * 4096])
def test_a_disk_without_files_is_told(tmp_path: Path, content: bytes) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(content)
    with pytest.raises(BuildError, match='the disk "disk"'):
        layer.write(disk, tmp_path / "tar", excludes=())


def test_a_disk_that_is_cut_off_is_told(tree: Path, tmp_path: Path) -> None:
    disk = a_filesystem(tree, tmp_path / "disk")
    os.truncate(disk, 300 << 10)
    with pytest.raises(BuildError, match="is cut off"):
        layer.write(disk, tmp_path / "tar", excludes=())
