"""GRUB is taken from the tree, and what is missing is said before a disk is made."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from imagefactory.core.additions import Filesystem
from imagefactory.core.errors import BuildError
from imagefactory.engine.disk import grub
from imagefactory.engine.disk.grub import Found
from imagefactory.engine.disk.layout import Firmware
from imagefactory.engine.disk.mounts import Mounts
from imagefactory.engine.disk.origin import Origin
from imagefactory.engine.disk.platforms import PLATFORMS

PC = PLATFORMS["x86_64"]
ARM = PLATFORMS["aarch64"]
MOUNTS = Mounts.of(Origin(key="abc", epoch=0), "web")
ALL = frozenset(
    {
        "/usr/bin/grub-mkimage",
        "/usr/sbin/grub-mkconfig",
        "/usr/lib/grub/i386-pc/kernel.img",
        "/usr/lib/grub/x86_64-efi/kernel.img",
        "/boot/vmlinuz-6.1.0-1-cloud-amd64",
    }
)
SIGNED = frozenset(
    {
        "/usr/lib/shim/shimx64.efi.signed",
        "/usr/lib/shim/mmx64.efi.signed",
        "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
    }
)


@dataclass(frozen=True)
class Recorder:
    """A guest that gives one answer and remembers what it was asked."""

    answer: str = ""
    argvs: list[Sequence[str]] = field(default_factory=list)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,  # noqa: ARG002 - a guest's
        stdin: bytes | None = None,  # noqa: ARG002
        quiet: bool = False,  # noqa: ARG002
    ) -> str:
        self.argvs.append(argv)
        return self.answer


def test_a_whole_system_can_start() -> None:
    for firmware in Firmware:
        Found(paths=ALL).check(name="web", firmware=firmware)


@pytest.mark.parametrize(
    ("missing", "firmware"),
    [
        ("/usr/bin/grub-mkimage", Firmware.UEFI),
        ("/usr/sbin/grub-mkconfig", Firmware.BIOS),
        ("/usr/lib/grub/i386-pc/kernel.img", Firmware.BOTH),
        ("/usr/lib/grub/x86_64-efi/kernel.img", Firmware.UEFI),
    ],
)
def test_a_system_without_a_boot_loader_is_refused(missing: str, firmware: Firmware) -> None:
    with pytest.raises(BuildError) as refusal:
        Found(paths=ALL - {missing}).check(name="web", firmware=firmware)
    brief = f'The system "web" cannot start from "{firmware.value}": it has no "{missing}"'
    assert refusal.value.brief == brief
    assert "grub-cloud-amd64" in (refusal.value.hint or "")


def test_a_system_for_arm_needs_the_boot_loader_of_arm() -> None:
    with pytest.raises(BuildError, match=r"it has no .*/arm64-efi/kernel") as refusal:
        Found(paths=ALL, platform=ARM).check(name="web", firmware=Firmware.UEFI)
    assert "grub-efi-arm64" in (refusal.value.hint or "")


def test_what_another_firmware_needs_is_not_asked_for() -> None:
    Found(paths=ALL - {"/usr/lib/grub/i386-pc/kernel.img"}).check(
        name="web", firmware=Firmware.UEFI
    )


def test_a_system_without_a_kernel_is_refused() -> None:
    paths = frozenset(path for path in ALL if "vmlinuz" not in path)
    with pytest.raises(BuildError, match='The system "web" has no kernel in "/boot"'):
        Found(paths=paths).check(name="web", firmware=Firmware.BOTH)


def test_secure_boot_takes_the_whole_chain() -> None:
    assert Found(paths=ALL | SIGNED).signed
    for part in SIGNED:
        assert not Found(paths=ALL | SIGNED - {part}).signed


def test_looking_reads_what_the_guest_lists() -> None:
    found = grub.find(Recorder(answer="/usr/bin/systemd-repart\n/boot/vmlinuz-6.1.0\n"), PC)
    assert found.paths == {"/usr/bin/systemd-repart", "/boot/vmlinuz-6.1.0"}
    assert found.grows
    assert not grub.find(Recorder(), PC).grows


@pytest.mark.parametrize(
    ("firmware", "words"),
    [
        (Firmware.BOTH, ["yes", "yes"]),
        (Firmware.BIOS, ["yes", "no"]),
        (Firmware.UEFI, ["no", "yes"]),
    ],
)
def test_images_are_made_for_the_firmware_asked_for(firmware: Firmware, words: list[str]) -> None:
    guest = Recorder()
    grub.install(guest, MOUNTS, firmware=firmware, platform=PC)
    told = [*words, str(MOUNTS.root.filesystem), "x86_64-efi", "1", "/boot/grub", "ext2"]
    assert list(guest.argvs[0][-7:]) == told


def test_images_find_a_boot_folder_of_its_own() -> None:
    guest = Recorder()
    apart = Mounts.of(
        Origin(key="abc", epoch=0),
        "web",
        beside=[
            Filesystem(mount="/home", type="ext4", size=1 << 30),
            Filesystem(mount="/boot", type="btrfs", size=1 << 30),
        ],
    )
    grub.install(guest, apart, firmware=Firmware.BOTH, platform=PC)
    told = [str(apart.boot.filesystem), "x86_64-efi", "3", "/grub", "btrfs"]
    assert list(guest.argvs[0][-5:]) == told


ANSWERS = {
    "ROOT_FILESYSTEM": "FS", "ROOT_PARTITION": "PART", "ROOT_DRIVER": "ext2",
    "BOOT_FILESYSTEM": "BOOT", "BOOT_PARTITION": "BOOTPART", "BOOT_DRIVER": "btrfs",
}  # fmt: skip


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (["--target=device", "/"], "/dev/disk/by-uuid/FS\n"),
        (["--device", "/dev/x", "--target=fs_uuid"], "FS\n"),
        (["--device", "/dev/x", "--target=partuuid"], "PART\n"),
        (["--device", "/dev/x", "--target=partmap"], "gpt\n"),
        (["-t", "fs", "/usr/share/grub"], "ext2\n"),
        (["-t", "abstraction", "/usr/share/grub"], ""),
        (["--device", "/dev/x", "--target=hints_string"], ""),
        (["--target=device", "/boot"], "/dev/disk/by-uuid/BOOT\n"),
        (["--device", "/dev/disk/by-uuid/BOOT", "--target=fs_uuid"], "BOOT\n"),
        (["--device", "/dev/disk/by-uuid/BOOT", "--target=fs"], "btrfs\n"),
    ],
)
def test_the_stand_in_for_grub_probe_tells_of_the_disk_to_be(
    question: list[str], answer: str
) -> None:
    said = subprocess.run(
        ["sh", "-s", "--", *question],
        input=grub._PROBE,
        env=ANSWERS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == answer


@pytest.mark.parametrize(
    ("path", "boot", "answer"),
    [
        ("/boot/vmlinuz", "BOOT", "/vmlinuz"),
        ("/boot", "BOOT", "/"),
        ("/boot/vmlinuz", "FS", "/boot/vmlinuz"),
        ("/", "FS", "/"),
        ("/usr/share/grub", "BOOT", "/usr/share/grub"),
    ],
)
def test_the_stand_in_for_grub_mkrelpath_knows_a_boot_folder_of_its_own(
    path: str, boot: str, answer: str
) -> None:
    said = subprocess.run(
        ["sh", "-s", "--", path],
        input=grub._PATH,
        env={**ANSWERS, "BOOT_FILESYSTEM": boot},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == answer
