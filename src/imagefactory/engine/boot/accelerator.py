"""Which QEMU this host has, and whether KVM really runs a guest here."""

import json
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from imagefactory.core.errors import BuildError, CommandFailed, RequestError
from imagefactory.engine.boot import payload
from imagefactory.engine.boot.boards import BOARDS, Board
from imagefactory.engine.command import Tools
from imagefactory.engine.files import write_atomically

PROGRAM: Final = "qemu-system-x86_64"
_NATIVE: Final = "x86_64"  # the processor of the trial's payload
KVM: Final = Path("/dev/kvm")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TRIAL_SECONDS: Final = 5.0  # under KVM the payload takes 0.1 s, under TCG 0.2 s
_QUICK: Final = 0.3  # seconds; a trial that takes longer is compared with one under TCG
_NOISE: Final = 2.0  # how many times longer a trial may take because other work came between
_SANDBOX: Final = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
# What QEMU starts calls setsid(2) first, and would be killed for it without this privilege.
_SPAWNING: Final = "on,obsolete=deny,elevateprivileges=allow,spawn=allow,resourcecontrol=deny"

Accelerator = Literal["kvm", "tcg"]

_KVM: Final = ("-accel", "kvm", "-cpu", "host")
_TCG: Final = ("-accel", "tcg,thread=multi,tb-size=512", "-cpu")


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """QEMU as it is on this host."""

    version: str  #: e.g. `7.2.22`
    accelerator: Accelerator
    sandbox: bool  #: whether this build can give up system calls (`-sandbox`)
    arch: str = _NATIVE  #: of the machines that it is, TDL's name

    @property
    def program(self) -> str:
        """QEMU."""
        return program_for(self.arch)

    @property
    def board(self) -> Board:
        """What its machines have."""
        return BOARDS[self.arch]

    def options(self, *, spawns: bool = False) -> tuple[str, ...]:
        """The words of a command line; `spawns` lets the emulator start programs of ours."""
        words = _words(self.accelerator, self.arch)
        return (*words, "-sandbox", _SPAWNING if spawns else _SANDBOX) if self.sandbox else words


def program_for(arch: str) -> str:
    """The QEMU that is a machine of this kind; `RequestError` where none is known."""
    if arch not in BOARDS:
        msg = f'No machine is known here that boots a disk for "{arch}"'
        raise RequestError(msg, hint=f"Disks are booted for {' and '.join(BOARDS)}")
    return f"qemu-system-{arch}"


def find_emulator(tools: Tools, *, cache: Path, kvm: Path = KVM, arch: str = _NATIVE) -> Emulator:
    """Ask QEMU, and try KVM by booting a tiny guest; `ToolMissing` without QEMU.

    `/dev/kvm` may open and even make a machine that then never runs, as in a nested guest without
    VMX; or run one by emulating each instruction, many times more slowly than QEMU would. So it is used
    where it is quicker, and the answer is kept in `cache` for as long as this host is up and QEMU is the same.
    Machines of another kind than the trial's are emulated.
    """
    version, sandbox = _ask(tools, program_for(arch))
    if arch != _NATIVE:
        return Emulator(version=version, accelerator="tcg", sandbox=sandbox, arch=arch)
    if not os.access(kvm, os.R_OK | os.W_OK):
        return Emulator(version=version, accelerator="tcg", sandbox=sandbox)
    key = f"{_BOOT_ID.read_text().strip()} {version} quicker"
    remembered = cache / "accelerator.json"
    if (found := _recall(remembered, key)) is not None:
        return Emulator(version=version, accelerator=found, sandbox=sandbox)
    accelerator: Accelerator = "kvm" if _is_quicker(tools, scratch=cache) else "tcg"
    write_atomically(remembered, json.dumps({"key": key, "accelerator": accelerator}))
    return Emulator(version=version, accelerator=accelerator, sandbox=sandbox)


def runs(tools: Tools, accelerator: Accelerator, *, scratch: Path) -> float | None:
    """Seconds until a guest has come up in 64-bit mode with this accelerator; None when it has not in five."""
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as disk:
        disk.write(payload.disk())
        disk.flush()
        began = time.monotonic()
        works = _came_up(tools, _trial(accelerator, disk.fileno()), disk.fileno())
        seconds = time.monotonic() - began
    how = f"works, {seconds:.1f} s" if works else "runs no guest here"
    tools.log(f'The accelerator "{accelerator}" {how}')
    return seconds if works else None


def _is_quicker(tools: Tools, *, scratch: Path) -> bool:
    """Whether KVM runs a guest, and not more slowly than QEMU would without it."""
    kvm = runs(tools, "kvm", scratch=scratch)
    if kvm is None or kvm < _QUICK:
        return kvm is not None
    tcg = runs(tools, "tcg", scratch=scratch)
    return tcg is None or kvm <= _NOISE * tcg


def _came_up(tools: Tools, argv: list[str], disk: int) -> bool:
    try:
        tools.run(argv, pass_fds=[disk], timeout=_TRIAL_SECONDS)
    except CommandFailed as ending:
        return ending.exit_status == payload.EXIT_STATUS and payload.MARKER in ending.tail
    except BuildError as silence:
        tools.cancellation.check()
        tools.log(str(silence))
    return False


def _words(accelerator: Accelerator, arch: str) -> tuple[str, ...]:
    return _KVM if accelerator == "kvm" else (*_TCG, BOARDS[arch].cpu)


def _trial(accelerator: Accelerator, disk: int) -> list[str]:
    return [
        *(PROGRAM, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "q35", "-m", "64", *_words(accelerator, _NATIVE)),
        *("-drive", f"file=/proc/self/fd/{disk},format=raw,if=virtio,readonly=on"),
        *("-chardev", "stdio,id=said", "-device", "isa-debugcon,iobase=0xe9,chardev=said"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
    ]


def _ask(tools: Tools, program: str) -> tuple[str, bool]:
    """The version, and whether it knows `-sandbox`: QEMU reads its options in order and stops at one it lacks."""
    try:
        said, sandbox = tools.run([program, "-sandbox", _SANDBOX, "-version"], quiet=True), True
    except CommandFailed:
        said, sandbox = tools.run([program, "-version"], quiet=True), False
    found = re.search(r"version (\d+(?:\.\d+)+)", said)
    if found is None:
        msg = f'"{program}" does not say its version'
        raise BuildError(msg)
    return found[1], sandbox


def _recall(file: Path, key: str) -> Accelerator | None:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    if content == {"key": key, "accelerator": "kvm"}:
        return "kvm"
    return "tcg" if content == {"key": key, "accelerator": "tcg"} else None
