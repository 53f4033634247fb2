"""The EFI system partition holds what firmware looks for, and the same files give the same bytes."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from imagefactory.engine.command import Tools
from imagefactory.engine.disk import esp
from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.layout import MIB, Partition
from imagefactory.engine.disk.platforms import PLATFORMS
from imagefactory.engine.sandbox import Sandbox

PC = PLATFORMS["x86_64"]
ARM = PLATFORMS["aarch64"]
IDS = DiskIds.derive(key="abc", name="web")
PARTITION = Partition(number=15, start=2 * MIB, size=64 * MIB)


def test_the_signed_chain_stands_where_firmware_and_upgrades_look() -> None:
    places = esp.sources(PC, signed=True, vendor="debian", folder="/boot/grub")
    assert places["EFI/BOOT/BOOTX64.EFI"] == "/usr/lib/shim/shimx64.efi.signed"
    assert places["EFI/BOOT/grubx64.efi"] == places["EFI/debian/grubx64.efi"]
    assert "EFI/debian/shimx64.efi" in places


def test_an_unsigned_system_starts_from_its_own_image() -> None:
    places = esp.sources(PC, signed=False, vendor="debian", folder="/boot/grub")
    assert set(places.values()) == {"/boot/grub/x86_64-efi/core.efi"}
    assert set(places) == {"EFI/BOOT/BOOTX64.EFI", "EFI/debian/grubx64.efi"}


def test_firmware_of_arm_looks_for_its_own_names() -> None:
    places = esp.sources(ARM, signed=False, vendor="debian", folder="/boot/grub")
    assert places == dict.fromkeys(
        ["EFI/BOOT/BOOTAA64.EFI", "EFI/debian/grubaa64.efi"], "/boot/grub/arm64-efi/core.efi"
    )
    places = esp.sources(ARM, signed=True, vendor="debian", folder="/boot/grub")
    assert places["EFI/BOOT/BOOTAA64.EFI"] == "/usr/lib/shim/shimaa64.efi.signed"
    assert places["EFI/BOOT/grubaa64.efi"] == places["EFI/debian/grubaa64.efi"]


def test_grub_is_led_from_the_partition_to_its_menu_on_the_root() -> None:
    (place, text), *_ = esp.redirect(IDS.filesystem, vendor="debian", folder="/boot/grub").items()
    assert place == "EFI/debian/grub.cfg"
    assert text.decode().splitlines() == [
        f"search.fs_uuid {IDS.filesystem} root",
        "set prefix=($root)'/boot/grub'",
        "configfile $prefix/grub.cfg",
    ]


@pytest.mark.integration
def test_the_same_files_give_the_same_sparse_and_sound_bytes(tmp_path: Path) -> None:
    files = {"EFI/BOOT/BOOTX64.EFI": b"shim" * 5000, "EFI/debian/grub.cfg": b"configfile\n"}
    state = tmp_path / "state"
    state.mkdir(mode=0o711)
    sandbox = Sandbox(state=state, tools=Tools())
    made = []
    for name in ("one", "two"):
        sandbox.own(state / name)
        made.append(
            esp.make(
                files,
                partition=PARTITION,
                ids=IDS,
                epoch=1_700_000_000,
                sandbox=sandbox,
                folder=state / name,
            )
        )
        time.sleep(2.1)  # FAT counts in steps of two seconds
    one, two = made
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size == PARTITION.size
    assert one.stat().st_blocks * 512 < 2 * MIB
    check = shutil.which("fsck.vfat", path="/usr/sbin") or "fsck.vfat"
    subprocess.run([check, "-n", one], check=True, capture_output=True)
    boot_sector = one.read_bytes()[:512]
    assert int.from_bytes(boot_sector[0x1C:0x20], "little") == PARTITION.start // 512
    assert int.from_bytes(boot_sector[0x43:0x47], "little") == IDS.serial
    found = subprocess.run(
        ["mtype", "-i", one, "::EFI/BOOT/BOOTX64.EFI"], check=True, capture_output=True
    )
    assert found.stdout == files["EFI/BOOT/BOOTX64.EFI"]
    for folder in (state / "one", state / "two"):
        sandbox.remove(folder)
