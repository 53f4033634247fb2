"""The files by which a system knows its own disk."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from imagefactory.core.additions import FilesystemType
from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.layout import Firmware
from imagefactory.engine.disk.mounts import Mount, Mounts
from imagefactory.engine.disk.platforms import Platform

FSTAB: Final = "/etc/fstab"
ESP_MOUNT: Final = "/boot/efi"
GRUB_DEFAULTS: Final = "/etc/default/grub.d/10-imagefactory.cfg"
#: lets the package grub-cloud-amd64 install both boot loaders again when they are upgraded
GRUB_CLOUD_FLAG: Final = "/etc/grub.d/enable_cloud"
REPART: Final = "/etc/repart.d/50-root.conf"

_GRUB_DEFAULTS: Final = """\
# Written when this image was built. Files with later names win; then run update-grub.
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX={arguments}
{terminal}GRUB_DISABLE_OS_PROBER=true
"""

REPART_TEXT: Final = """\
# Written when this image was built: the root grows with the disk.
[Partition]
Type=root
"""

#: of the root's file system, and whether fsck(8) looks at one of this kind
_ROOT_OPTIONS: Final[Mapping[FilesystemType, str]] = {
    "ext4": "defaults,discard,errors=remount-ro,x-systemd.growfs",
    "xfs": "defaults,discard,x-systemd.growfs",
    "btrfs": "defaults,discard=async,x-systemd.growfs",
}
_OPTIONS: Final[Mapping[FilesystemType, str]] = {
    "ext4": "defaults,discard", "xfs": "defaults,discard", "btrfs": "defaults,discard=async",
}  # fmt: skip
_CHECKED: Final = frozenset({"ext4"})

_FSTAB_FIELDS: Final = 4  # device, place, type, options; what follows may be left out


def boot_files(
    ids: DiskIds,
    *,
    firmware: Firmware,
    platform: Platform,
    mounts: Mounts,
    kernel_arguments: str,
    fstab: str,
) -> Mapping[str, str]:
    """Path and text of each file. `fstab` is the one that is there, whose other lines are kept."""
    files = {
        FSTAB: fstab_of(ids, mounts, firmware=firmware, old=fstab),
        GRUB_DEFAULTS: grub_defaults(kernel_arguments, platform),
        REPART: REPART_TEXT,
    }
    if firmware is Firmware.BOTH:
        files[GRUB_CLOUD_FLAG] = ""
    return files


def fstab_of(ids: DiskIds, mounts: Mounts, *, firmware: Firmware, old: str) -> str:
    """An `fstab` with this disk's partitions first, then the lines of the old one about other places."""
    root, beside = mounts.root, sorted(mounts.beside, key=lambda mount: mount.place)
    lines = [_line(root, _ROOT_OPTIONS[root.kind], order=1)]
    lines += (_line(mount, _OPTIONS[mount.kind], order=2) for mount in beside)
    if firmware.uefi:
        lines.append(f"UUID={ids.volume_id} {ESP_MOUNT} vfat umask=0077,nofail 0 2")
    known = {"/", ESP_MOUNT, *(_in_fstab(mount.place) for mount in beside)}
    return "\n".join([*lines, *_about_other_places(old.splitlines(), known=known)]) + "\n"


def _line(mount: Mount, options: str, *, order: int) -> str:
    checked = order if mount.kind in _CHECKED else 0
    return f"UUID={mount.filesystem} {_in_fstab(mount.place)} {mount.kind} {options} 0 {checked}"


def _in_fstab(mount: str) -> str:
    """A place as fstab(5) wants it, whose fields are parted by spaces."""
    return mount.replace("\\", "\\134").replace(" ", "\\040")


def _about_other_places(lines: Iterable[str], *, known: Collection[str]) -> list[str]:
    kept = []
    for line in lines:
        fields = line.split()
        entry = len(fields) >= _FSTAB_FIELDS and not fields[0].startswith("#")
        if entry and fields[1] not in known:
            kept.append(line)
    return kept


def grub_defaults(kernel_arguments: str, platform: Platform) -> str:
    """The settings that `update-grub` makes the menu from, now and in the running system."""
    words = " ".join([platform.consoles, *kernel_arguments.split()])
    return _GRUB_DEFAULTS.format(arguments=_quoted(words), terminal=platform.terminal)


def _quoted(text: str) -> str:
    """For a shell, which reads the settings."""
    return "'" + text.replace("'", "'\\''") + "'"
