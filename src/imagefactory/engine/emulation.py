"""Programs of another processor run here: QEMU's user emulation, registered in a build's own namespace.

Linux keeps a table of such handlers for each user namespace since 6.7 ("Kernel Support for miscellaneous
Binary Formats"); what somebody registered for the whole machine is taken where there is any.
"""

import platform
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.errors import ToolMissing

#: the processor of this machine, as TDL names it
HOST: Final = platform.machine()

_REGISTERED: Final = Path("/proc/sys/fs/binfmt_misc")
_PACKAGE: Final = "qemu-user-static"
_CLASS_64: Final = 2
_PROGRAM: Final = 2  # ELF's kinds; a shared object is 3, and the mask leaves that bit out


@dataclass(frozen=True, kw_only=True)
class _Elf:
    """How a program of a processor begins (elf(5))."""

    machine: int
    big_endian: bool = False

    def rule(self, name: str, interpreter: str) -> str:
        """A line for the kernel, which opens the interpreter at once and hands the program's own name on."""
        order, data = (">", 2) if self.big_endian else ("<", 1)
        head = b"\x7fELF" + bytes([_CLASS_64, data, 1]) + bytes(9)
        mask = b"\xff" * 7 + b"\0" + b"\xff" * 8
        magic = head + struct.pack(f"{order}HH", _PROGRAM, self.machine)
        mask += struct.pack(f"{order}HH", 0xFFFE, 0xFFFF)
        return f":{name}:M::{_escaped(magic)}:{_escaped(mask)}:{interpreter}:PF"


_PROCESSORS: Final = {
    "aarch64": _Elf(machine=183),
    "ppc64le": _Elf(machine=21),
    "s390x": _Elf(machine=22, big_endian=True),
    "x86_64": _Elf(machine=62),
}


def registration(
    arch: str, *, path: str, host: str = HOST, registered: Path = _REGISTERED
) -> str | None:
    """A script that lets this namespace run programs of `arch`; None where nothing need be done for it.

    It leaves a file system mounted on `/mnt`, with which the handler would vanish; others may be mounted
    on top. `ToolMissing` when there is no emulator in `path`.
    """
    if arch == host or _for_all(registered / f"qemu-{arch}"):
        return None
    found = _emulator(arch, path)
    rule = _PROCESSORS[arch].rule(f"imagefactory-{arch}", found)
    return f"mount -n -t binfmt_misc binfmt_misc /mnt; printf %s '{rule}' > /mnt/register\n"


def refused(arch: str) -> ToolMissing:
    """What is said where the kernel does not register it."""
    msg = f'The kernel of this machine lets no build run programs for "{arch}"'
    hint = f'Install the packages "{_PACKAGE}" and "binfmt-support", which make the whole machine run them'
    return ToolMissing(msg, hint=hint)


def _emulator(arch: str, path: str) -> str:
    names = (f"qemu-{arch}-static", f"qemu-{arch}") if arch in _PROCESSORS else ()
    found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    if found is None:
        msg = f'This machine cannot run programs for "{arch}"'
        raise ToolMissing(msg, hint=f'Install the package "{_PACKAGE}"')
    return found


def _for_all(handler: Path) -> bool:
    """Whether the machine has a handler that works wherever a program is (flag F)."""
    try:
        lines = handler.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags:")), "")
    return "enabled" in lines and "F" in flags.partition(":")[2]


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)
