"""Disks of real systems: sound, the same each time, started by each firmware, kept up by the system itself."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile
from pathlib import Path

import pytest

from fakes.build import a_build
from imagefactory.core.additions import Filesystem
from imagefactory.core.config import Config
from imagefactory.core.errors import SpaceError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import parse
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.report import CommandResult
from imagefactory.engine.boot.request import Boot, Login
from imagefactory.engine.disk.layout import GIB, MIB, Firmware
from imagefactory.engine.disk.make import MakeDisk
from imagefactory.engine.disk.prepare import PrepareBoot
from imagefactory.engine.plan import Build, execute
from imagefactory.engine.tree import Tree
from imagefactory.systems.debian import Debian

PASSWORD = "a secret & a password"
SIZE = 2 * GIB

#: What the boot loader's packages do when they are upgraded; what they leave must be what was there.
REINSTALL = """
cp -r /boot/grub /boot/efi/EFI /run/
head -c 2M /dev/vda > /run/start
sh /var/lib/dpkg/info/grub-cloud-amd64.postinst triggered >&2 || exit 1
head -c 2M /dev/vda | cmp - /run/start
diff -rbq /run/EFI /boot/efi/EFI
update-grub
diff /run/grub/grub.cfg /boot/grub/grub.cfg
"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A tree with nothing left to do but its disk, and what makes that."""

    build: Build
    prepare: PrepareBoot
    make: MakeDisk

    def disk(self, firmware: Firmware = Firmware.BOTH) -> Path:
        replace(self.prepare, firmware=firmware).run(self.build)
        replace(self.make, firmware=firmware).run(self.build)
        return self.build.disk

    def start(
        self, firmware: Firmware, *commands: str, size: int = SIZE
    ) -> Sequence[CommandResult]:
        """What commands say in a machine with this firmware."""
        wanted = Boot(
            disk=self.build.disk,
            firmware="bios" if firmware.bios else "uefi",
            timeout=800,
            size=size,
            login=Login(password=Secret(PASSWORD)),
            run=commands,
            log=self.build.artifacts / "console.log",
        )
        tools, scratch = self.build.tools, self.build.scratch
        emulator = find_emulator(tools, cache=self.build.cache)
        return boot(wanted, tools=tools, emulator=emulator, scratch=scratch).commands


@pytest.fixture(scope="module", params=["12", pytest.param("13", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, config: Config, template: str) -> Iterator[Made]:
    text = template.replace("@VERSION@", request.param).replace("@SIZE@", "2 GiB")
    text = text.replace("@PACKAGE@", "tree").replace("@COMMAND@", "true")
    plan = Debian(config).plan_base(parse(text), Parameters({"boot_test": False}))
    build = replace(a_build(config.state, build_id=f"disk-{request.param}"), mirrors=config.mirrors)
    steps = tuple(takewhile(lambda step: not isinstance(step, PrepareBoot), plan))
    execute(steps, build, record=lambda _name, action: action())
    (prepare,) = (step for step in plan if isinstance(step, PrepareBoot))
    (make,) = (step for step in plan if isinstance(step, MakeDisk))
    yield Made(build=build, prepare=prepare, make=make)
    Tree.load(build).sandbox.remove(build.scratch)


def said_by(*argv: str | Path) -> str:
    said = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def test_a_disk_is_sound_and_the_same_each_time(made: Made) -> None:
    disk = made.disk()
    assert (
        made.build.notes().items()
        >= {
            "format": "raw",
            "virtual_size": SIZE,
            "firmware": "bios+uefi",
        }.items()
    )
    assert disk.stat().st_size == SIZE
    assert disk.stat().st_blocks * 512 < GIB
    assert not list(made.build.scratch.glob("disk.*"))
    assert "No problems found" in said_by("/usr/sbin/sgdisk", "-v", disk)
    said_by("/usr/sbin/e2fsck", "-fn", f"{disk}?offset={66 * MIB}")
    esp = made.build.state / "esp"
    with disk.open("rb") as file:
        file.seek(2 * MIB)
        esp.write_bytes(file.read(64 * MIB))
    said_by("/usr/sbin/fsck.vfat", "-n", esp)
    esp.unlink()

    earlier = disk.rename(made.build.state / "earlier")
    said_by("cmp", earlier, made.disk())
    earlier.unlink()


def test_what_the_system_installs_later_is_what_is_there(made: Made) -> None:
    made.disk()
    running, root, reinstalled = made.start(
        Firmware.BIOS,
        "systemctl is-system-running --wait; for at in / /boot/efi; do findmnt -n -o SOURCE $at; done",
        "df -B1 --output=size / | tail -n 1",
        REINSTALL,
        size=3 * GIB,
    )
    assert running.output.split() == ["running", "/dev/vda1", "/dev/vda15"]
    assert int(root.output) > 5 * GIB // 2, "the root has grown with the disk"
    assert reinstalled.status == 0, reinstalled.output


#: what may lie apart, one in another
APART = (
    Filesystem(mount="/var", size=400 * MIB),
    Filesystem(mount="/var/log", size=64 * MIB),
    Filesystem(mount="/home", size=100 * MIB),
    Filesystem(mount="/data", size=100 * MIB),
)
WHERE = "for at in / /var /var/log /home /data; do findmnt -n -o SOURCE,FSTYPE $at; done"


@pytest.mark.parametrize("made", ["12"], indirect=True)
def test_folders_have_file_systems_of_their_own(made: Made) -> None:
    apart = replace(
        made,
        prepare=replace(made.prepare, filesystems=APART),
        make=replace(made.make, filesystems=APART),
    )
    disk = apart.disk()
    assert "No problems found" in said_by("/usr/sbin/sgdisk", "-v", disk)
    starts = list(accumulate((66, 400, 64, 100, 100)))
    for start in starts:
        said_by("/usr/sbin/e2fsck", "-fn", f"{disk}?offset={start * MIB}")
    earlier = disk.rename(made.build.state / "earlier")
    said_by("cmp", earlier, apart.disk())
    earlier.unlink()
    running, where, audit, root, home = apart.start(
        Firmware.UEFI,
        "systemctl is-system-running --wait",
        WHERE,
        "dpkg --audit; apt-get check; dpkg-query -W | wc -l",
        "df -B1 --output=size / | tail -n 1",
        "stat -c '%U %a' /home/alice/.ssh; ls /var/log/journal >/dev/null && echo journal",
        size=3 * GIB,
    )
    assert running.output.strip() == "running"
    assert where.output.split() == [
        *("/dev/vda1", "ext4", "/dev/vda2", "ext4", "/dev/vda3", "ext4"),
        *("/dev/vda4", "ext4", "/dev/vda5", "ext4"),
    ]
    assert audit.status == 0, audit.output
    assert int(root.output) > 2 * GIB, "the root has grown with the disk"
    assert home.output.split()[:2] == ["alice", "700"]


#: a root that is no ext4, what starts it in a file system of its own, and one inside another
OTHERS = (
    Filesystem(mount="/boot", type="ext4", size=300 * MIB),
    Filesystem(mount="/home", type="btrfs", size=128 * MIB),
)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("made", ["12"], indirect=True)
@pytest.mark.parametrize("beside", [(), OTHERS], ids=["alone", "boot"])
def test_a_root_of_btrfs_starts(made: Made, beside: tuple[Filesystem, ...]) -> None:
    other = replace(
        made,
        prepare=replace(made.prepare, root="btrfs", filesystems=beside),
        make=replace(made.make, root="btrfs", filesystems=beside),
    )
    disk = other.disk()
    start = 66 + sum((one.size or 0) // MIB for one in beside)
    root = made.build.state / "root"
    said_by("dd", f"if={disk}", f"of={root}", "bs=1M", f"skip={start}", "conv=sparse")
    said_by("btrfs", "check", "--check-data-csum", root)
    root.unlink()
    earlier = disk.rename(made.build.state / "earlier")
    said_by("cmp", earlier, other.disk())
    earlier.unlink()
    for firmware in (Firmware.BIOS, Firmware.UEFI):
        running, where, audit, size, menu, faults = other.start(
            firmware,
            "systemctl is-system-running --wait; systemctl --failed --no-legend",
            "for at in / /boot /home; do findmnt -n -o FSTYPE -T $at; done",
            "dpkg --audit; apt-get check && dpkg --verify systemd libc6 && touch /var/kept && sync",
            "df -B1 --output=size / | tail -n 1",
            "cp /boot/grub/grub.cfg /run && update-grub && diff /run/grub.cfg /boot/grub/grub.cfg",
            "dmesg | grep -i 'btrfs.*\\(error\\|warning\\|corrupt\\)'",
            size=3 * GIB,
        )
        assert running.output.split() == ["running"]
        kinds = ["btrfs", "ext4", "btrfs"] if beside else ["btrfs"] * 3
        assert where.output.split() == kinds
        assert audit.status == 0, audit.output
        assert int(size.output) > 2 * GIB, "the root has grown with the disk"
        assert menu.status == 0, menu.output
        assert faults.output == ""


def test_files_that_do_not_fit_are_told_with_their_place(made: Made) -> None:
    small = (Filesystem(mount="/usr", size=64 * MIB),)
    with pytest.raises(
        SpaceError, match=r'The filesystem of "/usr" is 64 MiB, and \d+ MiB of files'
    ):
        replace(made.make, filesystems=small).run(made.build)
    assert not list(made.build.scratch.glob("disk.*"))


@pytest.mark.slow
@pytest.mark.parametrize("made", ["12"], indirect=True)
def test_a_disk_for_a_bios_alone_starts(made: Made) -> None:
    disk = made.disk(Firmware.BIOS)
    assert "EF00" not in said_by("/usr/sbin/sgdisk", "-p", disk)
    (result,) = made.start(Firmware.BIOS, "systemctl is-system-running --wait; findmnt /boot/efi")
    assert result.output.split() == ["running"]


@pytest.mark.parametrize("made", ["12"], indirect=True)
def test_an_unsigned_system_for_uefi_alone_starts(made: Made) -> None:
    with Tree.load(made.build).below("boot").change("unsigned") as change:
        change.run(["rm", "-r", "/usr/lib/shim"])
    disk = made.disk(Firmware.UEFI)
    assert "EF02" not in said_by("/usr/sbin/sgdisk", "-p", disk)
    (result,) = made.start(Firmware.UEFI, "systemctl is-system-running --wait; ls /boot/efi/EFI/*")
    assert result.output.split() == [
        *("running", "/boot/efi/EFI/BOOT:", "BOOTX64.EFI"),
        *("/boot/efi/EFI/debian:", "grub.cfg", "grubx64.efi"),
    ]
