"""The command line of QEMU for one boot."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from imagefactory.engine.boot import relay
from imagefactory.engine.boot.accelerator import Emulator
from imagefactory.engine.boot.overlay import Overlay
from imagefactory.engine.boot.target import Target

Hardware = Literal["virtio", "nvme", "virtio-scsi", "vmware"]

#: A kernel that is given to QEMU takes the first place by itself.
_SCSI_DISK: Final = "scsi-hd,drive=disk,bootindex=1"
_NETWORK: Final = "virtio-net-pci,netdev=net,romfile="
#: the disk and the network card of KVM, of EC2 but for its card, of Compute Engine, and of vSphere
HARDWARE: Final[Mapping[Hardware, tuple[str, ...]]] = {
    "virtio": ("virtio-blk-pci,drive=disk,bootindex=1", _NETWORK),
    "nvme": ("nvme,drive=disk,serial=disk,bootindex=1", _NETWORK),
    "virtio-scsi": ("virtio-scsi-pci", _SCSI_DISK, _NETWORK),
    "vmware": ("pvscsi", _SCSI_DISK, "vmxnet3,netdev=net,romfile="),
}


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a machine can reach: a network card with DHCP, and nothing behind it unless it is `open`.

    `forwards` lets it reach ports of the host's loopback at addresses of its own net:
    `{("10.0.2.100", 3128): 8080}`.
    """

    open: bool = False
    net: str | None = None  #: 10.0.2.0/24 when not given
    forwards: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def option(self) -> str:
        """The value for `-netdev`."""
        words = ["user", "id=net", f"restrict={'off' if self.open else 'on'}"]
        if self.net is not None:
            words.append(f"net={self.net}")
        for (address, port), loopback in self.forwards.items():
            command = shlex.join([sys.executable, "-I", relay.__file__, str(loopback)])
            # QEMU's own connection to a port would be one for the whole boot: a program has one for each.
            words.append(f"guestfwd=tcp:{address}:{port}-cmd:{command}".replace(",", ",,"))
        return ",".join(words)


@dataclass(frozen=True, kw_only=True)
class UefiFiles:
    """OVMF for one machine: the code of all, and a descriptor of its own copy of the variables."""

    code: Path
    variables: int


@dataclass(frozen=True, kw_only=True)
class AttachedDrive:
    """A raw disk beside the one that is booted."""

    descriptor: int
    writable: bool


@dataclass(frozen=True, kw_only=True)
class Wires:
    """The descriptors that QEMU inherits: sockets, and files without names."""

    disk: Overlay | Target
    console: int
    commands: int
    monitor: int
    screen: int  #: a file for screenshots
    uefi: UefiFiles | None = None  #: without it the machine has a BIOS
    drives: tuple[AttachedDrive, ...] = ()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that must be passed on."""
        sockets = (self.console, self.commands, self.monitor)
        files = (*self.disk.descriptors, self.screen)
        drives = (drive.descriptor for drive in self.drives)
        return (*sockets, *files, *drives, *([] if self.uefi is None else [self.uefi.variables]))


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel that QEMU starts itself, whatever is on the disk."""

    image: Path
    initrd: Path
    arguments: str

    def options(self) -> tuple[str, ...]:
        """The words of a command line."""
        files = ("-kernel", str(self.image), "-initrd", str(self.initrd))
        return (*files, "-append", self.arguments)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with one disk, two serial ports and a screen that nobody looks at."""

    emulator: Emulator
    processors: int = 1
    memory: int = 1 << 30  #: bytes
    network: Network = field(default_factory=Network)
    hardware: Hardware = "virtio"
    kernel: Kernel | None = None  #: None: the firmware starts what is on the disk
    system: Mapping[str, str] = field(default_factory=dict)  #: SMBIOS, type 1

    def argv(self, wires: Wires) -> list[str]:
        """QEMU's whole command line."""
        board = self.emulator.board
        machine = board.machine
        if wires.uefi is not None:
            machine += ",pflash0=code,pflash1=variables"
        return [
            *(
                self.emulator.program,
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
            ),
            *self.emulator.options(spawns=bool(self.network.forwards)),
            *("-machine", machine, "-smp", str(self.processors), "-m", f"{self.memory >> 20}M"),
            *_smbios(self.system),
            *_nodes([*_firmware(wires.uefi), *wires.disk.blockdevs(), *_drives(wires.drives)]),
            *(() if self.kernel is None else self.kernel.options()),
            *("-netdev", self.network.option()),
            *_devices(*HARDWARE[self.hardware], "virtio-rng-pci", board.screen),
            *_devices(*(f"virtio-blk-pci,drive=drive{n}" for n in range(len(wires.drives)))),
            *_socket("console", wires.console, *board.console),
            *_socket("commands", wires.commands, *board.commands),
            *_socket("monitor", wires.monitor, "-mon", "chardev=monitor,mode=control"),
        ]


def _nodes(nodes: Sequence[Mapping[str, object]]) -> list[str]:
    return [word for node in nodes for word in ("-blockdev", json.dumps(node))]


def _firmware(uefi: UefiFiles | None) -> list[dict[str, object]]:
    if uefi is None:
        return []
    code = {"driver": "file", "node-name": "code", "filename": str(uefi.code), "read-only": True}
    name = f"/proc/self/fd/{uefi.variables}"
    return [code, {"driver": "file", "node-name": "variables", "filename": name}]


def _drives(drives: Sequence[AttachedDrive]) -> list[dict[str, object]]:
    return [
        {
            "driver": "raw",
            "node-name": f"drive{number}",
            "read-only": not drive.writable,
            "discard": "unmap",
            "file": {"driver": "file", "filename": f"/proc/self/fd/{drive.descriptor}"},
        }
        for number, drive in enumerate(drives)
    ]


def _smbios(system: Mapping[str, str]) -> list[str]:
    words = [f"{name}={value}".replace(",", ",,") for name, value in system.items()]
    return ["-smbios", ",".join(["type=1", *words])] if words else []


def _devices(*devices: str) -> list[str]:
    return [word for device in devices for word in ("-device", device)]


def _socket(name: str, descriptor: int, *device: str) -> list[str]:
    return ["-chardev", f"socket,id={name},fd={descriptor}", *device]
