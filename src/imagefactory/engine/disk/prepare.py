"""Gives a tree the files by which it starts from the disk that will be made of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from imagefactory.core.additions import Filesystem, FilesystemType
from imagefactory.core.errors import BuildError, CommandFailed
from imagefactory.engine.disk import grub, guest
from imagefactory.engine.disk.layout import Firmware
from imagefactory.engine.disk.mounts import Mounts
from imagefactory.engine.disk.origin import Origin
from imagefactory.engine.disk.platforms import platform_of
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.tree import Change, Tree

_READ_FSTAB = "if [ -f /etc/fstab ]; then cat /etc/fstab; fi"
#: a link would lead the disk's maker to somewhere else
_MAKE_PLACE = 'umask 022; mkdir -p "$1" && [ "$(cd "$1" && pwd -P)" = "$1" ]'


@dataclass(frozen=True, kw_only=True)
class PrepareBoot(Step):
    """Writes what `MakeDisk` and the running system need: fstab, GRUB's images and menu, growth.

    The last change of a tree: it reads which kernels there are. Everything is made such that the
    system's own `update-grub` and upgrades of its kernel and boot loader go on from there.
    `BuildError` when the tree has no kernel, or no GRUB for the firmware.
    """

    weight: ClassVar[int] = 2

    name: str  #: the template's, from which the ids are derived
    firmware: Firmware = Firmware.BOTH
    arch: str = "x86_64"  #: TDL's name
    kernel_arguments: str = ""  #: beside those for the consoles
    root: FilesystemType = "ext4"  #: the same as `MakeDisk`'s, as are those beside it
    filesystems: tuple[Filesystem, ...] = ()

    @property
    def activity(self) -> str:
        return "Preparing the system to boot"

    def run(self, build: Build) -> None:
        origin = Origin.of(build)
        ids = origin.ids(self.name)
        platform = platform_of(self.arch)
        mounts = Mounts.of(origin, self.name, root=self.root, beside=self.filesystems)
        with Tree.load(build).shared("boot", key=self.key) as change:
            if change is None:
                return
            found = grub.find(change, platform)
            found.check(name=self.name, firmware=self.firmware)
            if not found.grows:
                build.tools.log('The root will not grow: there is no "systemd-repart"')
            make_places(change, [mount.place for mount in mounts.beside])
            files = guest.boot_files(
                ids,
                firmware=self.firmware,
                platform=platform,
                mounts=mounts,
                kernel_arguments=self.kernel_arguments,
                fstab=change.run(["sh", "-c", _READ_FSTAB], quiet=True),
            )
            change.write_all({path: text.encode() for path, text in files.items()})
            grub.install(change, mounts, firmware=self.firmware, platform=platform)
            grub.make_menu(change, mounts)


def make_places(change: Change, mounts: Iterable[str]) -> None:
    """Make the folders where file systems are mounted."""
    for mount in mounts:
        try:
            change.run(["sh", "-c", _MAKE_PLACE, "sh", mount], quiet=True)
        except CommandFailed as error:
            msg = f'Nothing can be mounted at "{mount}", which is no folder or lies behind a link'
            raise BuildError(msg, hint="See <filesystems> in the template") from error
