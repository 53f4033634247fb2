"""A disk of a few bytes that boots: its first sector writes a text through the BIOS, and stops."""

from pathlib import Path
from typing import Final

from imagefactory.engine.boot.accelerator import Emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.request import Boot
from imagefactory.engine.command import Tools

PROMPT: Final = "\r\nhere login: "
_CODE: Final = bytes.fromhex(
    "31c0 8ed8"  #       xor ax, ax; mov ds, ax
    "be187c"  #          mov si, 0x7c18
    "ac 84c0 7409"  #    lodsb; test al, al; jz 0x7c15
    "b40e bb0700 cd10"  # mov ah, 0x0e; mov bx, 7; int 0x10
    "ebf2"  #            jmp 0x7c07
    "f4 ebfd"  #         hlt; jmp 0x7c15
)


def boot_sector(text: str = PROMPT) -> bytes:
    """The 512 bytes."""
    return (_CODE + text.encode() + b"\0").ljust(510, b"\0") + b"\x55\xaa"


def comes_up(disk: Path, folder: Path) -> bool:
    """Whether a disk of any format that QEMU knows comes up to its prompt."""
    emulator = Emulator(
        version="", accelerator="tcg", sandbox=False
    )  # for a second, KVM is not tried
    report = boot(Boot(disk=disk, timeout=60), tools=Tools(), emulator=emulator, scratch=folder)
    return report.console[-1] == PROMPT.strip()
