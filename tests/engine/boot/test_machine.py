"""The command line of QEMU."""

import json
import sys
from pathlib import Path

import pytest

from imagefactory.engine.boot import relay
from imagefactory.engine.boot.accelerator import Emulator
from imagefactory.engine.boot.machine import (
    AttachedDrive,
    Hardware,
    Machine,
    Network,
    UefiFiles,
    Wires,
)
from imagefactory.engine.boot.overlay import Overlay

TCG = Emulator(version="7.2.22", accelerator="tcg", sandbox=True)
WIRES = Wires(
    disk=Overlay(format="raw", base=10, top=11), console=12, commands=13, monitor=14, screen=15
)


def after(argv: list[str], option: str) -> list[str]:
    """All values of an option."""
    return [argv[place + 1] for place, word in enumerate(argv) if word == option]


def test_a_machine_with_a_bios() -> None:
    argv = Machine(emulator=TCG, processors=2, memory=512 << 20).argv(WIRES)
    assert argv[0] == "qemu-system-x86_64"
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} < set(argv)
    assert after(argv, "-display") == ["none"]
    assert after(argv, "-machine") == ["q35,graphics=off"]
    assert after(argv, "-m") == ["512M"]
    assert after(argv, "-smp") == ["2"]
    assert after(argv, "-sandbox")[0].startswith("on,")
    assert after(argv, "-chardev") == [
        "socket,id=console,fd=12",
        "socket,id=commands,fd=13",
        "socket,id=monitor,fd=14",
    ]
    disks = [json.loads(node) for node in after(argv, "-blockdev")]
    assert [node["node-name"] for node in disks] == ["base-file", "base", "disk-file", "disk"]
    assert "virtio-blk-pci,drive=disk,bootindex=1" in argv


def test_a_machine_with_an_arm_processor() -> None:
    arm = Emulator(version="7.2.22", accelerator="tcg", sandbox=True, arch="aarch64")
    uefi = UefiFiles(code=Path("/usr/share/AAVMF/AAVMF_CODE.fd"), variables=16)
    argv = Machine(emulator=arm).argv(Wires(**{**vars(WIRES), "uefi": uefi}))
    assert argv[0] == "qemu-system-aarch64"
    assert after(argv, "-machine") == ["virt,pflash0=code,pflash1=variables"]
    assert after(argv, "-cpu") == ["cortex-a72"]
    assert after(argv, "-serial") == ["chardev:console"]
    devices = after(argv, "-device")
    assert {"ramfb", "virtconsole,chardev=commands"} <= set(devices)
    assert not [device for device in devices if device.startswith(("isa-", "VGA"))]


def test_nothing_of_the_hosts_files_is_named() -> None:
    assert not [
        word
        for word in Machine(emulator=TCG).argv(WIRES)
        if "/" in word.replace("/proc/self/fd/", "")
    ]


def test_a_machine_with_uefi_has_its_own_variables() -> None:
    uefi = UefiFiles(code=Path("/usr/share/OVMF/CODE,1.fd"), variables=16)
    wires = Wires(**{**vars(WIRES), "uefi": uefi})
    argv = Machine(emulator=TCG).argv(wires)
    assert after(argv, "-machine") == ["q35,graphics=off,pflash0=code,pflash1=variables"]
    code, variables = (json.loads(node) for node in after(argv, "-blockdev")[:2])
    assert (code["filename"], code["read-only"]) == ("/usr/share/OVMF/CODE,1.fd", True)
    assert variables["filename"] == "/proc/self/fd/16"
    assert set(wires.descriptors) == {10, 11, 12, 13, 14, 15, 16}


def test_a_guest_reaches_nothing_unless_it_is_let() -> None:
    assert Network().option() == "user,id=net,restrict=on"
    assert Network(open=True).option() == "user,id=net,restrict=off"


def test_a_forward_runs_a_relay_to_the_loopback() -> None:
    network = Network(forwards={("10.0.2.100", 3128): 8080})
    wanted = f"guestfwd=tcp:10.0.2.100:3128-cmd:{sys.executable} -I {relay.__file__} 8080"
    assert network.option() == f"user,id=net,restrict=on,{wanted}"
    argv = Machine(emulator=TCG, network=network).argv(WIRES)
    assert {"elevateprivileges=allow", "spawn=allow"} < set(after(argv, "-sandbox")[0].split(","))
    assert "spawn=deny" in after(Machine(emulator=TCG).argv(WIRES), "-sandbox")[0]


def test_what_this_qemu_lacks_is_not_asked_for() -> None:
    old = Emulator(version="6.2.0", accelerator="kvm", sandbox=False)
    argv = Machine(emulator=old).argv(WIRES)
    assert not after(argv, "-sandbox")
    assert after(argv, "-accel") == ["kvm"]
    assert after(argv, "-cpu") == ["host"]


@pytest.mark.parametrize(
    ("hardware", "disk", "network"),
    [
        ("virtio", "virtio-blk-pci", "virtio-net-pci"),
        ("nvme", "nvme", "virtio-net-pci"),
        ("virtio-scsi", "scsi-hd", "virtio-net-pci"),
        ("vmware", "scsi-hd", "vmxnet3"),
    ],
)
def test_a_machine_has_the_devices_of_a_hypervisor(
    hardware: Hardware, disk: str, network: str
) -> None:
    devices = after(Machine(emulator=TCG, hardware=hardware).argv(WIRES), "-device")
    [first] = [device for device in devices if "drive=disk" in device]
    [card] = [device for device in devices if "netdev=net" in device]
    assert first.startswith(f"{disk},")
    assert first.endswith("bootindex=1")
    assert card.startswith(f"{network},")


def test_a_machine_may_be_in_another_net() -> None:
    machine = Machine(emulator=TCG, network=Network(net="169.254.0.0/16"))
    assert "net=169.254.0.0/16" in after(machine.argv(WIRES), "-netdev")[0]


def test_further_disks_come_after_the_one_that_is_booted() -> None:
    drives = tuple(AttachedDrive(descriptor=16 + n, writable=bool(n)) for n in range(2))
    wires = Wires(**{**vars(WIRES), "drives": drives})
    argv = Machine(emulator=TCG).argv(wires)
    nodes = [json.loads(node) for node in after(argv, "-blockdev")[-2:]]
    assert [node["read-only"] for node in nodes] == [True, False]
    assert [node["file"]["filename"] for node in nodes] == ["/proc/self/fd/16", "/proc/self/fd/17"]
    devices = [word for word in after(argv, "-device") if "blk" in word]
    assert devices[1:] == ["virtio-blk-pci,drive=drive0", "virtio-blk-pci,drive=drive1"]
    assert {16, 17} <= set(wires.descriptors)


def test_a_machine_says_what_it_is() -> None:
    argv = Machine(emulator=TCG, system={"product": "one, two", "serial": "3"}).argv(WIRES)
    assert after(argv, "-smbios") == ["type=1,product=one,, two,serial=3"]
    assert not after(Machine(emulator=TCG).argv(WIRES), "-smbios")
