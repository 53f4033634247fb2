"""Which file systems a template may ask for is decided, and refused, before anything is built."""

from dataclasses import replace

import pytest

from imagefactory.core.additions import Additions, Filesystem
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.engine.disk.layout import GIB, MIB
from imagefactory.engine.disk.wanted import Filesystems, filesystems

HOME = Filesystem(mount="/home", size=GIB)


def test_the_root_is_always_there() -> None:
    assert filesystems(None, Parameters()) == Filesystems()
    wanted = Additions(filesystems=(Filesystem(mount="/", type="btrfs"), HOME))
    found = filesystems(wanted, Parameters())
    assert found == Filesystems(root="btrfs", beside=(replace(HOME, type="ext4"),))
    assert found.kinds == {"btrfs", "ext4"}
    assert found.tools({"btrfs": "btrfs-progs", "xfs": "xfsprogs"}) == ("btrfs-progs",)


def test_the_parameter_is_the_type_of_those_that_name_none() -> None:
    wanted = Additions(filesystems=(HOME, Filesystem(mount="/srv", type="ext4", size=GIB)))
    found = filesystems(wanted, Parameters({"filesystem": "btrfs"}))
    assert (found.root, *(one.type for one in found.beside)) == ("btrfs", "btrfs", "ext4")


@pytest.mark.parametrize(
    ("filesystem", "usual", "message"),
    [
        (Filesystem(mount="/", type="xfs"), "ext4", '"/" cannot be made as "xfs"'),
        (HOME, "xfs", '"/" cannot be made as "xfs"'),
        (Filesystem(mount="/usr", size=GIB), "ext4", '"/usr" cannot have a filesystem of its own'),
        (Filesystem(mount="/boot/efi", size=GIB), "ext4", '"/boot/efi" cannot have'),
        (Filesystem(mount="/srv", size=15 * MIB), "ext4", '"/srv" is too small'),
        (Filesystem(mount="/srv", size=99 * MIB), "btrfs", '"/srv" is too small'),
    ],
)
def test_what_cannot_be_made_is_refused(filesystem: Filesystem, usual: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as refusal:
        filesystems(Additions(filesystems=(filesystem,)), Parameters({"filesystem": usual}))
    assert refusal.value.hint
