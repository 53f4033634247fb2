"""The files by which a system knows its own disk."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.layout import Firmware
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

NO_VOLUMES: Final[Mapping[str, UUID]] = MappingProxyType({})

_FSTAB_FIELDS: Final = 4  # device, place, type, options; what follows may be left out


def boot_files(
    ids: DiskIds,
    *,
    firmware: Firmware,
    platform: Platform,
    kernel_arguments: str,
    fstab: str,
    volumes: Mapping[str, UUID] = NO_VOLUMES,
) -> Mapping[str, str]:
    """Path and text of each file. `fstab` is the one that is there, whose other lines are kept.

    `volumes` are the file systems beside the root's, by where they are mounted.
    """
    files = {
        FSTAB: fstab_of(ids, firmware=firmware, old=fstab, volumes=volumes),
        GRUB_DEFAULTS: grub_defaults(kernel_arguments, platform),
        REPART: REPART_TEXT,
    }
    if firmware is Firmware.BOTH:
        files[GRUB_CLOUD_FLAG] = ""
    return files


def fstab_of(
    ids: DiskIds, *, firmware: Firmware, old: str, volumes: Mapping[str, UUID] = NO_VOLUMES
) -> str:
    """An `fstab` with this disk's partitions first, then the lines of the old one about other places."""
    lines = [
        f"UUID={ids.filesystem} / ext4 defaults,discard,errors=remount-ro,x-systemd.growfs 0 1"
    ]
    lines += [
        f"UUID={volumes[mount]} {_in_fstab(mount)} ext4 defaults,discard 0 2"
        for mount in sorted(volumes)
    ]
    if firmware.uefi:
        lines.append(f"UUID={ids.volume_id} {ESP_MOUNT} vfat umask=0077,nofail 0 2")
    known = {"/", ESP_MOUNT, *map(_in_fstab, volumes)}
    return "\n".join([*lines, *_about_other_places(old.splitlines(), known=known)]) + "\n"


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
