"""Which file systems a template may ask for is decided, and refused, before anything is built."""

import pytest

from imagefactory.core.additions import Additions, Filesystem
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.engine.disk.layout import GIB, MIB
from imagefactory.engine.disk.wanted import filesystems_beside_root

HOME = Filesystem(mount="/home", size=GIB)


def test_the_root_is_always_there() -> None:
    assert filesystems_beside_root(None, Parameters()) == ()
    wanted = Additions(filesystems=(Filesystem(mount="/", type="ext4"), HOME))
    assert filesystems_beside_root(wanted, Parameters()) == (HOME,)


@pytest.mark.parametrize(
    ("filesystem", "usual", "message"),
    [
        (Filesystem(mount="/", type="xfs"), "ext4", '"/" cannot be made as "xfs"'),
        (HOME, "btrfs", '"/home" cannot be made as "btrfs"'),
        (Filesystem(mount="/usr", size=GIB), "ext4", '"/usr" cannot have a filesystem of its own'),
        (Filesystem(mount="/boot/efi", size=GIB), "ext4", '"/boot/efi" cannot have'),
        (Filesystem(mount="/srv", size=15 * MIB), "ext4", '"/srv" is too small'),
    ],
)
def test_what_cannot_be_made_is_refused(filesystem: Filesystem, usual: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as refusal:
        filesystems_beside_root(
            Additions(filesystems=(filesystem,)), Parameters({"filesystem": usual})
        )
    assert refusal.value.hint


def test_the_parameter_is_the_type_of_a_root_that_names_none() -> None:
    with pytest.raises(RequestError, match='"/" cannot be made as "xfs"'):
        filesystems_beside_root(None, Parameters({"filesystem": "xfs"}))
