"""The part of a machine that its processor decides: QEMU's board, its serial ports, its screen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Board:
    """What is on a machine's board, as words of QEMU's command line."""

    machine: str
    cpu: str  #: where nothing runs it but QEMU
    screen: str  #: a device
    console: tuple[str, ...]  #: puts the character device `console` on the first serial port
    commands: tuple[str, ...]  #: puts `commands` on a port on which nobody else writes
    port: str  #: where the guest sees that one
    bios: bool  #: whether it can have one, instead of UEFI


BOARDS: Final[Mapping[str, Board]] = {
    # Without graphics SeaBIOS writes to the first serial port too, and so says there why a disk
    # does not boot; the card is there all the same, for the screenshot.
    "x86_64": Board(
        machine="q35,graphics=off",
        cpu="max",
        screen="VGA",
        console=("-device", "isa-serial,chardev=console"),
        commands=("-device", "isa-serial,chardev=commands"),
        port="/dev/ttyS1",
        bios=True,
    ),
    # It has one serial port. One on PCI would be ttyS0, on which images for clouds have a console, and systemd
    # asks for a login on the first console of virtio: commands have the second. QEMU's newest processor signs
    # pointers, which takes long to emulate.
    "aarch64": Board(
        machine="virt",
        cpu="cortex-a72",
        screen="ramfb",
        console=("-serial", "chardev:console"),
        commands=(
            *("-device", "virtio-serial-pci"),
            *("-chardev", "null,id=unused", "-device", "virtconsole,chardev=unused"),
            *("-device", "virtconsole,chardev=commands"),
        ),
        port="/dev/hvc1",
        bios=False,
    ),
}
