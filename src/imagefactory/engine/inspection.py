"""Says which Linux system is on a disk that somebody else has made."""

import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from lxml import etree

from imagefactory.core import os_release
from imagefactory.core.errors import BuildError, CommandFailed
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.command import Tools, Word
from imagefactory.engine.disk import gpt
from imagefactory.engine.disk.ext4_files import Ext4Files
from imagefactory.engine.disk.layout import SECTOR

_RELEASE_FILES: Final = ("etc/os-release", "usr/lib/os-release")
_MOST: Final = 64 << 10  # bytes of an os-release that are read

_MBR_PARTITION: Final = struct.Struct("<8xII")
_MBR_PARTITIONS: Final = range(0x1BE, 0x1FE, 16)

#: of every Linux system one of these is the first program, or what it loads it with
_PROGRAMS: Final = ("usr/lib/systemd/systemd", "lib/systemd/systemd", "sbin/init", "bin/bash")
_MACHINES: Final = {
    3: "i386", 21: "ppc64", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64",
}  # fmt: skip
_ELF: Final = b"\x7fELF"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A Linux system, in the words of its os-release(5)."""

    id: str  #: e.g. `debian`
    version: str  #: e.g. `12`, `9.4`, or nothing for a rolling release
    arch: str  #: as in TDL


def inspect_system(disk: Path, *, name: str, tools: Tools, cache: Path) -> Found:
    """The system on a raw disk, which people know by `name`; `BuildError` when none is found.

    What lies on ext4 is read here; for everything else libguestfs is asked, where it is installed.
    `cache` remembers whether KVM runs guests here.
    """
    with disk.open("rb") as file:
        for offset in partitions(file):
            if found := _read(file, offset):
                return found
    if shutil.which("virt-inspector"):
        if found := _asked(disk, tools, cache):
            return found
        hint = "Only Linux systems can be imported"
    else:
        hint = "Install libguestfs-tools, which knows more file systems than ext4"
    msg = f'No operating system was found on the disk "{name}"'
    raise BuildError(msg, hint=hint)


def partitions(file: BinaryIO) -> Iterator[int]:
    """Where file systems may begin on a raw disk, in bytes."""
    head = file.read(gpt.HEAD)
    if entries := gpt.read(head):
        yield from (entry.first * SECTOR for entry in entries)
        return
    yield 0
    if head[510:512] == b"\x55\xaa":
        for place in _MBR_PARTITIONS:
            first, count = _MBR_PARTITION.unpack_from(head, place)
            if first and count:
                yield first * SECTOR


def _read(file: BinaryIO, offset: int) -> Found | None:
    try:
        files = Ext4Files(file, offset=offset, name=Path(file.name).name)
        words = next(filter(None, (_content(files, path) for path in _RELEASE_FILES)), b"")
        if not words:
            return None
        given = os_release.parse(words.decode("utf-8", "replace"))
        programs = (_content(files, path) for path in _PROGRAMS)
        arch = next(filter(None, map(_machine, programs)), "x86_64")
    except BuildError:
        return None  # no ext4, or a damaged one: the next, or libguestfs, may do
    return Found(id=given.get("ID", "linux"), version=given.get("VERSION_ID", ""), arch=arch)


def _content(files: Ext4Files, path: str) -> bytes:
    """The beginning of a file; nothing where there is none."""
    inode = files.find(path)
    return b"" if inode is None else next(files.content(inode), b"")[:_MOST]


def _machine(program: bytes) -> str | None:
    """The architecture in an ELF header (System V ABI, e_machine)."""
    if not program.startswith(_ELF):
        return None
    (machine,) = struct.unpack_from("<H" if program[5] == 1 else ">H", program, 18)
    arch = _MACHINES.get(machine)
    return "ppc64le" if arch == "ppc64" and program[5] == 1 else arch


def _asked(disk: Path, tools: Tools, cache: Path) -> Found | None:
    """What virt-inspector(1) says."""
    env = {"LIBGUESTFS_BACKEND": "direct"}
    if find_emulator(tools, cache=cache).accelerator == "tcg":
        # It would take a /dev/kvm that opens for one that works, and wait for its machine for ever.
        env["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    command: list[Word] = ["virt-inspector", "--format=raw", "--no-applications", "-a", disk]
    try:
        told = tools.run(command, env=env)
    except CommandFailed:
        return None
    system = etree.fromstring(told.encode()).find("operatingsystem")
    if system is None or system.findtext("name") != "linux":
        return None
    version = [system.findtext(f"{part}_version") or "0" for part in ("major", "minor")]
    return Found(
        id=system.findtext("distro") or "linux",
        version=".".join(version),
        arch=system.findtext("arch") or "x86_64",
    )
