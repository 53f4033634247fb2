"""Boot entries of the RPM family: kernels, their initramfs by dracut, and a menu that GRUB reads them from.

See the Boot Loader Specification (uapi-group.org), type 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from imagefactory.core.additions import Filesystem, FilesystemType
from imagefactory.core.errors import BuildError, CommandFailed
from imagefactory.engine.disk import grub, guest
from imagefactory.engine.disk.layout import Firmware
from imagefactory.engine.disk.mounts import Mounts
from imagefactory.engine.disk.origin import Origin
from imagefactory.engine.disk.platforms import PLATFORMS
from imagefactory.engine.disk.prepare import make_places
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.tree import Change, Tree

ENTRIES: Final = "/boot/loader/entries"
_DEFAULTS: Final = "/etc/default/grub"
_COMMAND_LINE: Final = "/etc/kernel/cmdline"  # kernel-install(8) gives it to later kernels
#: stands for the machine's id, which an image has none of
_TOKEN: Final = "f" * 32

_GRUB_DEFAULTS: Final = """\
# Written when this image was built.
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX="{arguments}"
GRUB_TERMINAL="serial console"
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_DISABLE_OS_PROBER=true
GRUB_ENABLE_BLSCFG=true
"""

# dracut(8): for any machine, not for the one that builds. What a kernel's package has made of the host's own
# command line goes.
_KERNELS: Final = """
set -eu
rm -rf /boot/loader/entries
for modules in /lib/modules/*; do
    [ -d "$modules/kernel" ] || continue
    version=${modules##*/}
    kernel=/boot/vmlinuz-$version
    # A link leads out of the file system that GRUB reads, where that is one of its own.
    [ ! -L "$kernel" ] || { cp --remove-destination "$(readlink -f "$kernel")" "$kernel"; }
    [ -e "$kernel" ] || [ ! -e "$modules/vmlinuz" ] || cp "$modules/vmlinuz" "$kernel"
    [ -e "$kernel" ] || continue
    [ -e "$modules/modules.dep.bin" ] || depmod "$version"
    dracut --force --no-hostonly --reproducible --kver "$version" "/boot/initramfs-$version.img" >&2
    echo "$version"
done
"""

# GRUB of the family reads the entries itself; for one that cannot they are in the menu too.
_MENU: Final = """\
# Written when this image was built. {how}
set timeout=1
set default=0
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
search --no-floppy --fs-uuid --set=root {filesystem}
set boot=$root
{entries}"""
_BLSCFG: Final = """\
set blsdir={folder}
insmod blscfg
blscfg
"""
_MENU_ENTRY: Final = """\
menuentry '{title}' {{
    linux {kernel} {options}
    initrd {initramfs}
}}
"""
_ENTRY: Final = """\
title {title}
version {version}
linux {kernel}
initrd {initramfs}
options {options}
grub_users $grub_users
grub_arg --unrestricted
"""

# As for Debian (see `grub`), with the folder and the programs' names of this family.
_INSTALL: Final = r"""
set -eu
make() { if command -v grub2-mkimage > /dev/null; then grub2-mkimage "$@"; else grub-mkimage "$@"; fi; }
grub=/usr/lib/grub
[ ! -d /usr/share/grub2/i386-pc ] || grub=/usr/share/grub2
modules() {
    [ -e "$grub/$1/kernel.img" ] || { echo "it has no $grub/$1" >&2; exit 1; }
    mkdir -p "/boot/grub2/$1"
    cp "$grub/$1"/*.mod "$grub/$1"/*.lst "/boot/grub2/$1/"
}
if [ "$1" = yes ]; then
    modules i386-pc
    cp "$grub/i386-pc/boot.img" /boot/grub2/i386-pc/
    make --format=i386-pc --directory="$grub/i386-pc" --prefix="(,gpt$4)$5" \
        --output=/boot/grub2/i386-pc/core.img "$6" part_gpt biosdisk
fi
mkdir -p /boot/efi
# openSUSE signs its own, and brings them elsewhere.
if [ "$2" = yes ] && [ -e /usr/share/efi/x86_64/shim.efi ] && [ -e /usr/share/efi/x86_64/grub.efi ]; then
    for folder in BOOT opensuse; do
        mkdir -p "/boot/efi/EFI/$folder"
        cp /usr/share/efi/x86_64/*.efi "/boot/efi/EFI/$folder/"
    done
    cp /usr/share/efi/x86_64/shim.efi /boot/efi/EFI/BOOT/BOOTX64.EFI
fi
if [ "$2" = yes ] && [ ! -e /boot/efi/EFI/BOOT/BOOTX64.EFI ]; then
    modules x86_64-efi
    printf 'search.fs_uuid %s root\nset prefix=($root)%s\n' "$3" "$5" \
        > /boot/grub2/x86_64-efi/load.cfg
    make --format=x86_64-efi --directory="$grub/x86_64-efi" --prefix="$5" \
        --config=/boot/grub2/x86_64-efi/load.cfg --output=/boot/grub2/x86_64-efi/core.efi \
        part_gpt "$6" search_fs_uuid
fi
[ ! -e "$grub/i386-pc/blscfg.mod" ] || echo blscfg
[ -x /usr/bin/systemd-repart ] || [ ! -x /usr/bin/growpart ] || echo growpart
"""
# growpart(1) answers 1 when there is nothing to grow.
_GROW: Final = "/usr/lib/imagefactory/grow-root"
_GROW_SCRIPT: Final = """\
#!/bin/sh
# Written when this image was built: the root grows with the disk.
set -eu
root=$(findmnt --noheadings --output SOURCE /)
growpart "/dev/$(lsblk --noheadings --nodeps --output PKNAME "$root")" 1 || [ $? = 1 ]
/usr/lib/systemd/systemd-growfs /
"""
_GROW_UNIT: Final = "imagefactory-grow-root.service"
_GROW_SERVICE: Final = f"""\
# Written when this image was built.
[Unit]
Description=Grow the root to the size of its disk

[Service]
Type=oneshot
ExecStart={_GROW}

[Install]
WantedBy=multi-user.target
"""
_OS_NAME: Final = '. /etc/os-release; printf %s "$PRETTY_NAME"'
_READ_FSTAB: Final = "if [ -f /etc/fstab ]; then cat /etc/fstab; fi"


@dataclass(frozen=True, kw_only=True)
class PrepareEntries(Step):
    """Writes what `MakeDisk` and the running system need: fstab, initramfs, boot entries, GRUB, growth.

    `BuildError` when the tree has no kernel, no dracut, or no GRUB for the firmware.
    """

    weight: ClassVar[int] = 12

    name: str  #: the template's, from which the ids are derived
    firmware: Firmware = Firmware.BOTH
    kernel_arguments: str = ""  #: beside those for the consoles
    root: FilesystemType = "ext4"  #: the same as `MakeDisk`'s, as are those beside it
    filesystems: tuple[Filesystem, ...] = ()

    @property
    def activity(self) -> str:
        return "Preparing the system to boot"

    def run(self, build: Build) -> None:
        origin = Origin.of(build)
        ids = origin.ids(self.name)
        mounts = Mounts.of(origin, self.name, root=self.root, beside=self.filesystems)
        with Tree.load(build).change("boot") as change:
            make_places(change, [mount.place for mount in mounts.beside])
            fstab = change.run(["sh", "-c", _READ_FSTAB], quiet=True)
            versions = self._told(change, _KERNELS)
            if not versions:
                msg = f'The system "{self.name}" has no kernel in "/boot" or "/lib/modules"'
                raise BuildError(msg, hint='Add a package like "kernel-core" to the template')
            firmware = self.firmware
            kinds = ["yes" if wanted else "no" for wanted in (firmware.bios, firmware.uefi)]
            boot = mounts.boot
            words = [str(boot.number), mounts.for_loader(grub.FOLDER_2), boot.driver]
            found = self._told(change, _INSTALL, *kinds, str(boot.filesystem), *words)
            files = {
                guest.FSTAB: guest.fstab_of(ids, mounts, firmware=firmware, old=fstab),
                guest.REPART: guest.REPART_TEXT,
                _DEFAULTS: _GRUB_DEFAULTS.format(arguments=self._arguments),
                _COMMAND_LINE: f"{self._options(mounts)}\n",
                **entries(
                    versions,
                    title=change.run(["sh", "-c", _OS_NAME], quiet=True),
                    options=self._options(mounts),
                    mounts=mounts,
                    blscfg="blscfg" in found,
                ),
            }
            for path, text in files.items():
                change.write(path, text.encode())
            if "growpart" in found:
                change.write(_GROW, _GROW_SCRIPT.encode(), mode=0o755)
                change.write(f"/etc/systemd/system/{_GROW_UNIT}", _GROW_SERVICE.encode())
                change.run(["systemctl", "enable", _GROW_UNIT], env={"SYSTEMD_OFFLINE": "1"})

    @property
    def _arguments(self) -> str:
        return " ".join([PLATFORMS["x86_64"].consoles, *self.kernel_arguments.split()])

    def _options(self, mounts: Mounts) -> str:
        return f"root=UUID={mounts.root.filesystem} ro {self._arguments}"

    def _told(self, change: Change, script: str, *words: str) -> list[str]:
        try:
            return change.run(["sh", "-c", script, "sh", *words], quiet=True).splitlines()
        except CommandFailed as error:
            last = error.tail.strip().rpartition("\n")[2]
            msg = f'The system "{self.name}" cannot be prepared to start: {last}'
            raise BuildError(msg) from error


def entries(
    versions: list[str], *, title: str, options: str, mounts: Mounts, blscfg: bool
) -> Mapping[str, str]:
    """The boot entries of these kernels, and GRUB's menu, by path; the last kernel comes first."""
    ordered = sorted(versions, key=_by_number, reverse=True)
    texts = [
        {
            "title": f"{title} ({version})",
            "version": version,
            "options": options,
            "kernel": mounts.for_loader(f"/boot/vmlinuz-{version}"),
            "initramfs": mounts.for_loader(f"/boot/initramfs-{version}.img"),
        }
        for version in ordered
    ]
    files = {f"{ENTRIES}/{_TOKEN}-{one['version']}.conf": _ENTRY.format(**one) for one in texts}
    folder = mounts.for_loader(ENTRIES)
    menu = (
        _BLSCFG.format(folder=folder)
        if blscfg
        else "".join(_MENU_ENTRY.format(**one) for one in texts)
    )
    how = f"Its entries lie in {ENTRIES}." if blscfg else f"It says what {ENTRIES} says."
    files[f"{grub.FOLDER_2}/grub.cfg"] = _MENU.format(
        how=how, filesystem=mounts.boot.filesystem, entries=menu
    )
    return files


def _by_number(version: str) -> list[tuple[int, str]]:
    words = version.replace("-", ".").split(".")
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in words]
