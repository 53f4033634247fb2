"""A system knows its own disk."""

import subprocess
from uuid import UUID

import pytest

from imagefactory.core.additions import FilesystemType
from imagefactory.engine.disk.guest import boot_files, fstab_of, grub_defaults
from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.layout import Firmware
from imagefactory.engine.disk.mounts import Mount, Mounts
from imagefactory.engine.disk.origin import Origin
from imagefactory.engine.disk.platforms import PLATFORMS

PC = PLATFORMS["x86_64"]
ARM = PLATFORMS["aarch64"]
IDS = DiskIds.derive(key="abc", name="web")
MOUNTS = Mounts.of(Origin(key="abc", epoch=0), "web")
ROOT = f"UUID={IDS.filesystem} / ext4 defaults,discard,errors=remount-ro,x-systemd.growfs 0 1\n"
ESP = f"UUID={IDS.volume_id} /boot/efi vfat umask=0077,nofail 0 2\n"


def test_fstab_names_the_disks_partitions() -> None:
    old = "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n"
    assert fstab_of(IDS, MOUNTS, firmware=Firmware.BOTH, old=old) == ROOT + ESP
    assert fstab_of(IDS, MOUNTS, firmware=Firmware.BIOS, old="") == ROOT


def test_fstab_keeps_what_a_template_wrote_about_other_places() -> None:
    old = (
        "UUID=1 / xfs defaults 0 1\nnas:/home /home nfs4 rw 0 0\n"
        "#/dev/sdb1 /srv ext4 defaults 0 2\n/dev/vdb1\t/boot/efi\tvfat\tdefaults\ntmpfs /tmp tmpfs nosuid\n"
    )
    new = fstab_of(IDS, MOUNTS, firmware=Firmware.BOTH, old=old)
    assert new == f"{ROOT}{ESP}nas:/home /home nfs4 rw 0 0\ntmpfs /tmp tmpfs nosuid\n"
    assert fstab_of(IDS, MOUNTS, firmware=Firmware.BOTH, old=new) == new


def test_fstab_has_the_outer_file_system_before_the_inner() -> None:
    mounts = Mounts(
        root=a_mount("/", IDS.root, kind="btrfs"),
        beside=(
            a_mount("/var/log", IDS.root, kind="xfs"),
            a_mount("/home", IDS.disk),
            a_mount("/my data", IDS.esp),
            a_mount("/var", IDS.bios),
        ),
    )
    old = "nas:/home /home nfs4 rw 0 0\nnas:/x /my\\040data nfs4 rw 0 0\n"
    new = fstab_of(IDS, mounts, firmware=Firmware.BOTH, old=old)
    assert new == (
        f"UUID={IDS.root} / btrfs defaults,discard=async,x-systemd.growfs 0 0\n"
        f"UUID={IDS.disk} /home ext4 defaults,discard 0 2\n"
        f"UUID={IDS.esp} /my\\040data ext4 defaults,discard 0 2\n"
        f"UUID={IDS.bios} /var ext4 defaults,discard 0 2\n"
        f"UUID={IDS.root} /var/log xfs defaults,discard 0 0\n{ESP}"
    )


def a_mount(place: str, own: UUID, *, kind: FilesystemType = "ext4") -> Mount:
    return Mount(place=place, kind=kind, filesystem=own, id=own, number=2)


@pytest.mark.parametrize(
    "arguments", ["", "  net.ifnames=0  quiet ", 'dyndbg="file a.c +p"', "it's $HOME `id`"]
)
def test_a_shell_reads_the_kernel_arguments_as_they_were_written(arguments: str) -> None:
    script = grub_defaults(arguments, PC) + 'printf %s "$GRUB_CMDLINE_LINUX"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    wanted = ["console=tty0", "console=ttyS0,115200", *arguments.split()]
    assert said.stdout.split() == wanted


def test_a_machine_with_an_arm_processor_has_its_console() -> None:
    settings = grub_defaults("quiet", ARM)
    assert "console=ttyAMA0,115200 quiet'" in settings
    assert "GRUB_SERIAL_COMMAND" not in settings
    assert 'GRUB_TERMINAL="console"' in settings


def test_the_boot_loader_may_be_upgraded_where_the_disk_has_room_for_both() -> None:
    def paths(firmware: Firmware) -> set[str]:
        return set(
            boot_files(
                IDS, firmware=firmware, platform=PC, mounts=MOUNTS, kernel_arguments="", fstab=""
            )
        )

    assert "/etc/grub.d/enable_cloud" in paths(Firmware.BOTH)
    assert "/etc/grub.d/enable_cloud" not in paths(Firmware.UEFI)
    assert "/etc/repart.d/50-root.conf" in paths(Firmware.BIOS)
