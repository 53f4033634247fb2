"""A tree's files reach the disk as they are: names, owners, links, capabilities; nothing of the overlay's."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.guest import a_guest
from imagefactory.core.errors import SpaceError
from imagefactory.engine.disk import ext4
from imagefactory.engine.disk.ids import DiskIds, VolumeIds
from imagefactory.engine.disk.layout import (
    MIB,
    Contents,
    Firmware,
    Layout,
    Partition,
    check_room,
    journal_size,
    lay_out,
)
from imagefactory.engine.plan import Build
from imagefactory.engine.tree import Tree

pytestmark = pytest.mark.integration

IDS = DiskIds.derive(key="abc", name="web")
EPOCH = 1_700_000_000

BELOW = """
mkdir -p /srv/kept /srv/replaced
echo below > /srv/kept/a; echo below > /srv/replaced/a
echo gone > /srv/gone
"""

#: a hard link, owners, a pipe, a name that no line holds, a folder over another
ABOVE = """
set -e
rm /srv/gone; rm -r /srv/replaced; mkdir /srv/replaced; echo above > /srv/replaced/b
echo twice > /srv/one; ln /srv/one /srv/two
echo theirs > /srv/owned; chown 33:44 /srv/owned; chmod 4750 /srv/owned
mkfifo /srv/pipe; ln -s /somewhere /srv/link
name=$(printf 'two\\nlines'); echo odd > "/srv/$name"
cat /bin/cat > /srv/capable; : > /srv/holes
chmod 1777 /srv/kept
"""


def change(build: Build) -> None:
    """Make the tree's two layers, the second with programs that the tiny guest lacks."""
    for name, script in (("below", BELOW), ("above", ABOVE)):
        with Tree.load(build).change(name) as change:
            change.run(["sh", "-c", script])
    tree = Tree.load(build)
    for argv in (["setcap", "cap_net_raw=ep", "srv/capable"], ["truncate", "-s200M", "srv/holes"]):
        tree.sandbox.host(argv, cwd=tree.layers[-1])


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    with a_guest(tmp_path) as made:
        change(made)
        yield made


def least(contents: Contents) -> Layout:
    """The smallest disk that is said to be large enough."""
    with pytest.raises(SpaceError) as refusal:
        lay_out(contents, size=MIB, firmware=Firmware.BOTH, name="web")
    size = int(refusal.value.brief.split("at least ")[1].removesuffix(" MiB")) * MIB
    return lay_out(contents, size=size, firmware=Firmware.BOTH, name="web")


@dataclass(frozen=True)
class Filesystem:
    """The root file system of a disk, as e2fsprogs sees it."""

    disk: Path
    offset: int

    def ask(self, *words: str) -> str:
        """What a program says of it; `AssertionError` when it is not sound."""
        place = f"{self.disk}?offset={self.offset}"
        argv = [f"/usr/sbin/{words[0]}", *words[1:], place]
        said = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert said.returncode == 0, said.stdout + said.stderr
        return said.stdout

    def stat(self, path: str) -> str:
        return self.ask("debugfs", "-R", f"stat {path}")

    def cat(self, path: str) -> str:
        return self.ask("debugfs", "-R", f"cat {path}")

    def names(self, folder: str) -> set[str]:
        rows = self.ask("debugfs", "-R", f"ls -p {folder}")
        return set(re.findall(r"^/\d+/\d+/\d+/\d+/([^/]*)/", rows, re.MULTILINE))

    def facts(self) -> dict[str, str]:
        lines = self.ask("dumpe2fs", "-h").splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def filesystem(build: Build, name: str) -> Filesystem:
    """The root file system of the smallest disk that the build's tree fits."""
    tree, folder = Tree.load(build), build.scratch / name
    tree.sandbox.own(folder)
    layout = least(ext4.measure(tree, folder=folder))
    disk = ext4.make(tree, ext4.root(layout, IDS), epoch=EPOCH, folder=folder)
    return Filesystem(disk, layout.root.start)


def test_files_are_on_the_disk_as_they_are_in_the_tree(build: Build) -> None:
    made = filesystem(build, "disk")
    made.ask("e2fsck", "-fn")
    assert made.cat("/srv/kept/a") == "below\n"
    assert made.names("/srv/replaced") == {".", "..", "b"}
    names = {"one", "two", "owned", "capable", "pipe", "link", "two\nlines", "holes"}
    assert made.names("/srv") == {".", "..", "kept", "replaced", *names}
    assert "Links: 2" in made.stat("/srv/one")
    assert made.stat("/srv/one") == made.stat("/srv/two")
    capability = "01 00 00 02 00 20 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
    assert f"security.capability (20) = {capability}" in made.stat("/srv/capable")
    assert "Mode:  04750" in made.stat("/srv/owned")
    assert "User:    33   Group:    44" in made.stat("/srv/owned")
    assert "Type: FIFO" in made.stat("/srv/pipe")
    assert "Mode:  01777" in made.stat("/srv/kept")
    assert "Blockcount: 0" in made.stat("/srv/holes")
    assert made.disk.stat().st_blocks * 512 < 100 * MIB


def volume(build: Build, mount: str, *apart: str) -> Filesystem:
    """A file system of 64 MiB that has a folder of the build's tree."""
    tree, folder = Tree.load(build), build.scratch / "volume"
    tree.sandbox.own(folder)
    size = 64 * MIB
    contents = ext4.measure(tree, folder=folder, mount=mount, apart=apart)
    wanted = ext4.Volume(
        mount=mount,
        apart=apart,
        partition=Partition(number=2, start=MIB, size=size),
        inodes=check_room(contents, size=size, mount=mount),
        ids=VolumeIds.derive(key="abc", name="web", mount=mount),
        label="data",
        journal=journal_size(size),
    )
    return Filesystem(ext4.make(tree, wanted, epoch=EPOCH, folder=folder), MIB)


def test_a_folder_has_a_file_system_of_its_own(build: Build) -> None:
    with Tree.load(build).change("theirs") as change:
        change.run(
            ["sh", "-c", "chown 33:44 /srv/kept; mkdir -p /srv/kept/in; echo x > /srv/kept/in/x"]
        )
    made = volume(build, "/srv/kept", "/srv/kept/in")
    made.ask("e2fsck", "-fn")
    assert made.cat("/a") == "below\n"
    assert made.names("/") == {".", "..", "a", "in", "lost+found"}
    assert made.names("/in") == {".", ".."}, "it is another file system's"
    assert "Mode:  01777" in made.stat("/")
    assert "User:    33   Group:    44" in made.stat("/")
    facts = made.facts()
    assert (facts["Filesystem volume name"], facts["Total journal size"]) == ("data", "4096k")


def test_the_root_is_without_what_lies_apart(build: Build) -> None:
    tree, folder = Tree.load(build), build.scratch / "apart"
    tree.sandbox.own(folder)
    whole = ext4.measure(tree, folder=folder)
    contents = ext4.measure(tree, folder=folder, apart=("/srv/kept", "/srv/replaced"))
    assert contents.inodes == whole.inodes - 2
    root = ext4.root(least(contents), IDS, apart=("/srv/kept", "/srv/replaced"))
    made = Filesystem(ext4.make(tree, root, epoch=EPOCH, folder=folder), root.partition.start)
    made.ask("e2fsck", "-fn")
    assert made.names("/srv/kept") == {".", ".."}
    assert "Mode:  01777" in made.stat("/srv/kept"), "as it is when nothing is mounted"
    assert made.cat("/srv/owned") == "theirs\n"


def test_nothing_of_the_overlay_is_on_the_disk(build: Build) -> None:
    made = filesystem(build, "disk")
    for path in ("/", "/srv", "/srv/kept", "/srv/replaced"):
        assert "Extended attributes" not in made.stat(path)
    found = subprocess.run(["grep", "-c", "user.overlay", made.disk], check=False)
    assert found.returncode == 1


def test_the_same_tree_gives_the_same_bytes(build: Build) -> None:
    first = filesystem(build, "first")
    change(build)
    second = filesystem(build, "second")
    subprocess.run(["cmp", first.disk, second.disk], check=True)


def test_the_size_that_is_said_to_be_needed_leaves_room_to_boot(build: Build) -> None:
    facts = filesystem(build, "disk").facts()
    free = int(facts["Free blocks"]) - int(facts["Reserved block count"])
    assert free * 4096 >= 64 * MIB
    assert int(facts["Free inodes"]) > 0


def test_grub_of_any_release_can_read_it(build: Build) -> None:
    assert set(filesystem(build, "disk").facts()["Filesystem features"].split()) == {
        *("has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit"),
        *("flex_bg", "sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize"),
        "metadata_csum",
    }
