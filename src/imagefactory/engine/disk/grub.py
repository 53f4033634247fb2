"""GRUB inside a system's tree: what there is of it, and what it takes to start from a disk.

The tree's own programs make everything, so that its versions are never mixed with the host's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk.layout import Firmware
from imagefactory.engine.disk.mounts import Mount, Mounts
from imagefactory.engine.disk.platforms import PLATFORMS, Platform

MKIMAGE: Final = "/usr/bin/grub-mkimage"
MKCONFIG: Final = "/usr/sbin/grub-mkconfig"
PC_KERNEL: Final = "/usr/lib/grub/i386-pc/kernel.img"

#: below GRUB's folder, where `grub-install` leaves them too
BOOT_IMAGE: Final = "i386-pc/boot.img"
CORE_IMAGE: Final = "i386-pc/core.img"

_FOLDER: Final = "/boot/grub"
#: what the RPM family calls it
FOLDER_2: Final = "/boot/grub2"

REPART_PROGRAM: Final = "/usr/bin/systemd-repart"

_KERNELS: Final = "/boot/vmlinuz-"
_FOUND: Final = (
    'for path in "$@" /boot/vmlinuz-*; do if [ -e "$path" ]; then echo "$path"; fi; done'
)

# What grub-install does, but for asking the disk, which is not there yet; its own core for a BIOS has the
# same bytes. That core looks on the disk that it was started from, so that another with the same ids does
# not matter.
_INSTALL: Final = r"""
set -eu
modules() {
    mkdir -p "/boot/grub/$1"
    cp "/usr/lib/grub/$1"/*.mod "/usr/lib/grub/$1"/*.lst "/boot/grub/$1/"
}
if [ "$1" = yes ]; then
    modules i386-pc
    cp /usr/lib/grub/i386-pc/boot.img /boot/grub/i386-pc/
    grub-mkimage --format=i386-pc --directory=/usr/lib/grub/i386-pc --prefix="(,gpt$5)$6" \
        --output=/boot/grub/i386-pc/core.img "$7" part_gpt biosdisk
fi
if [ "$2" = yes ]; then
    modules "$4"
    printf 'search.fs_uuid %s root\nset prefix=($root)%s\n' "$3" "$6" \
        > "/boot/grub/$4/load.cfg"
    grub-mkimage --format="$4" --directory="/usr/lib/grub/$4" --prefix="$6" \
        --config="/boot/grub/$4/load.cfg" --output="/boot/grub/$4/core.efi" \
        part_gpt "$7" search_fs_uuid
    mkdir -p /boot/efi
fi
# What grub-editenv makes; that of GRUB 2.14 asks which disk it is on.
{ echo '# GRUB Environment Block'; head -c 999 /dev/zero | tr '\0' '#'; } > /boot/grub/grubenv
"""

# grub-mkconfig asks grub-probe about the disk that holds the root, and would be told about an overlay:
# this one answers for the disk to be made. The menu is thus the one that the running system makes.
_PROBE: Final = """\
#!/bin/sh
what= filesystem=$ROOT_FILESYSTEM partition=$ROOT_PARTITION driver=$ROOT_DRIVER
while [ $# -gt 0 ]; do
    case "$1" in
        --target=*) what=${1#--target=} ;;
        -t|--target) what=$2; shift ;;
        /boot|/boot/*|"/dev/disk/by-uuid/$BOOT_FILESYSTEM")
            filesystem=$BOOT_FILESYSTEM partition=$BOOT_PARTITION driver=$BOOT_DRIVER ;;
    esac
    shift
done
case "$what" in
    device) echo "/dev/disk/by-uuid/$filesystem" ;;
    fs_uuid) echo "$filesystem" ;;
    partuuid) echo "$partition" ;;
    fs) echo "$driver" ;;
    partmap) echo gpt ;;
esac
"""
# So does this one for grub-mkrelpath, which asks how a file is called in the file system that has it.
_PATH: Final = """\
#!/bin/sh
for path; do :; done
case "$path" in
    /boot|/boot/*) [ "$BOOT_FILESYSTEM" = "$ROOT_FILESYSTEM" ] || path=${path#/boot} ;;
esac
echo "${path:-/}"
"""

_MENU: Final = r"""
set -eu
printf %s "$PROBE" > /tmp/grub-probe
printf %s "$RELATIVE" > /tmp/grub-mkrelpath
chmod +x /tmp/grub-probe /tmp/grub-mkrelpath
mkdir -p /dev/disk/by-uuid
: > "/dev/disk/by-uuid/$ROOT_FILESYSTEM"
: > "/dev/disk/by-uuid/$BOOT_FILESYSTEM"
sed 's,^grub_probe=.*,grub_probe=/tmp/grub-probe,' /usr/sbin/grub-mkconfig > /tmp/grub-mkconfig
export grub_probe=/tmp/grub-probe grub_mkrelpath=/tmp/grub-mkrelpath
sh /tmp/grub-mkconfig -o /boot/grub/grub.cfg
grep -q "$ROOT_FILESYSTEM" /boot/grub/grub.cfg || { echo "the menu does not name the root" >&2; exit 1; }
"""


class Guest(Protocol):
    """What runs programs of a tree: the tree itself, or a change of it."""

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        quiet: bool = False,
    ) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a tree has of all that booting takes."""

    paths: frozenset[str]
    platform: Platform = PLATFORMS["x86_64"]

    @property
    def signed(self) -> bool:
        """Whether it can start under Secure Boot."""
        return self.paths >= self.platform.signed

    @property
    def grows(self) -> bool:
        """Whether its root can follow a disk that is made larger."""
        return REPART_PROGRAM in self.paths

    def check(self, *, name: str, firmware: Firmware) -> None:
        """`BuildError` when something is missing without which no disk starts."""
        wanted = [MKIMAGE, MKCONFIG]
        wanted += [PC_KERNEL] if firmware.bios else []
        wanted += [self.platform.efi_kernel] if firmware.uefi else []
        if missing := [path for path in wanted if path not in self.paths]:
            msg = f'The system "{name}" cannot start from "{firmware}": it has no "{missing[0]}"'
            hint = f'Add a package like "{self.platform.packages[0]}" to the template'
            raise BuildError(msg, hint=hint)
        if not any(path.startswith(_KERNELS) for path in self.paths):
            msg = f'The system "{name}" has no kernel in "/boot"'
            hint = f'Add a package like "{self.platform.packages[1]}" to the template'
            raise BuildError(msg, hint=hint)


def find(guest: Guest, platform: Platform) -> Found:
    """Look for all that booting takes."""
    wanted = [MKIMAGE, MKCONFIG, PC_KERNEL, platform.efi_kernel, *sorted(platform.signed)]
    wanted.append(REPART_PROGRAM)
    listing = guest.run(["sh", "-c", _FOUND, "sh", *wanted], quiet=True)
    return Found(paths=frozenset(listing.splitlines()), platform=platform)


def folder(guest: Guest) -> str:
    """Where the tree's GRUB has its menu and modules."""
    script = f"[ ! -e {FOLDER_2}/grub.cfg ] || echo yes"
    return FOLDER_2 if guest.run(["sh", "-c", script], quiet=True) else _FOLDER


def install(guest: Guest, mounts: Mounts, *, firmware: Firmware, platform: Platform) -> None:
    """Put GRUB's modules into `/boot/grub`, and make the images that the firmware starts."""
    kinds = ["yes" if wanted else "no" for wanted in (firmware.bios, firmware.uefi)]
    boot = mounts.boot
    words = [*kinds, str(boot.filesystem), platform.grub]
    words += [str(boot.number), mounts.for_loader(_FOLDER), boot.driver]
    guest.run(["sh", "-c", _INSTALL, "sh", *words])


def make_menu(guest: Guest, mounts: Mounts) -> None:
    """Write `/boot/grub/grub.cfg` as the running system's `update-grub` would."""
    answers = {**_answers("ROOT", mounts.root), **_answers("BOOT", mounts.boot)}
    guest.run(["sh", "-c", _MENU], env={**answers, "PROBE": _PROBE, "RELATIVE": _PATH})


def _answers(name: str, mount: Mount) -> Mapping[str, str]:
    return {
        f"{name}_FILESYSTEM": str(mount.filesystem),
        f"{name}_PARTITION": str(mount.id),
        f"{name}_DRIVER": mount.driver,
    }
