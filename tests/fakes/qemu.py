"""A QEMU without a machine: it plays a guest's part over the same descriptors, shell and monitor included."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from imagefactory.engine.command import Tools

PICTURE: Final = b"\x89PNG\r\n\x1a\n a picture"
PASSWORD: Final = "correct horse"


def fake_qemu(folder: Path, scenario: str, *, version: str = "9.9.1") -> Tools:
    """Tools that find this fake, playing a scenario, in front of the host's own programs."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "qemu-system-x86_64", f"play({scenario!r}, {version!r}, {str(folder)!r})")
    _write(folder / "qemu-img", "qemu_img()")
    return replace(Tools(), path=f"{folder}:{os.defpath}")


def commands(folder: Path) -> list[list[str]]:
    """The command lines that the fake of this folder was started with."""
    file = folder / "commands"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _write(program: Path, call: str) -> None:
    lines = [
        f"#!{sys.executable}",
        "import sys",
        f"sys.path.insert(0, {str(Path(__file__).parent.parent)!r})",
        "from fakes.qemu import play, qemu_img",
        call,
    ]
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)


def qemu_img() -> None:
    """Write a file that is recognised, and know every disk to have a MiB."""
    match sys.argv[1]:
        case "create":
            Path(sys.argv[-2]).write_bytes(b"QFI\xfb an overlay of " + sys.argv[-1].encode())
        case "info":
            sys.stdout.write(json.dumps({"virtual-size": 1 << 20}))


def play(scenario: str, version: str, folder: str) -> None:
    """The program itself."""
    with (Path(folder) / "commands").open("a") as file:
        file.write(json.dumps(sys.argv[1:]) + "\n")
    if "-version" in sys.argv:
        if scenario == "without seccomp" and "-sandbox" in sys.argv:
            sys.stderr.write("-sandbox support is not enabled in this QEMU binary\n")
            sys.exit(1)
        sys.stdout.write(f"QEMU emulator version {version} (fake)\n")
        return
    if "isa-debug-exit,iobase=0xf4,iosize=4" in sys.argv:
        _trial(scenario)
    SCENARIOS[scenario](_guest())


def _trial(scenario: str) -> None:
    kvm = "kvm" in sys.argv
    if scenario == "kvm hangs":
        time.sleep(60)
    if scenario == "both are slow" or (scenario == "kvm is slow" and kvm):
        time.sleep(1 if kvm else 2)
    silent = scenario == "kvm is silent"
    sys.stdout.write("" if silent else "64 bits")
    sys.stdout.flush()
    os._exit(33)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """The far ends of a machine's wires."""

    console: socket.socket
    commands: socket.socket

    def say(self, text: str) -> None:
        """Write to the console, as a terminal does."""
        self.console.sendall(text.replace("\n", "\r\n").encode())

    def hear(self) -> str:
        """Take one line from the keyboard, and echo it."""
        line = b""
        while not line.endswith(b"\n"):
            line += self.console.recv(1)
        return line.decode().rstrip("\n")

    def boot(self) -> None:
        """Everything up to the prompt."""
        self.say("\x1bc\x1b[2J\x1b[01;01HSeaBIOS\nBooting from Hard Disk...\nWelcome to GRUB!\n")
        self.say("[    0.000000] Linux version 6.1.0\n")
        self.say("\nWelcome to \x1b[0;34mDebian GNU/Linux 12\x1b[0m!\n\n")
        self.say("[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mssh.service\x1b[0m.\n")
        self.say("\nDebian GNU/Linux 12 here ttyS0\n\nhere login: ")

    def log_in(self) -> bool:
        """Ask for a user and a password, which is not echoed."""
        self.say(self.hear() + "\nMot de passe : ")  # no guest has to speak English
        if self.hear() != PASSWORD:
            time.sleep(0.1)
            self.say("\n\nLogin incorrect\nhere login: ")
            return False
        self.say("\nLinux here 6.1.0\nroot@here:~# ")
        return True

    def serve(self) -> None:
        """Do what is typed, with a real shell on the second port; `poweroff` ends the machine."""
        typed = self.hear()
        self.say(typed + "\n")
        script = shlex.split(typed)[-1].replace("</dev/ttyS1 >/dev/ttyS1 ", "")
        with tempfile.TemporaryDirectory() as programs:
            off = Path(programs, "poweroff")
            off.write_text(f"#!/bin/sh\nkill -TERM {os.getpid()}\n")
            off.chmod(0o755)
            subprocess.run(
                ["/bin/sh", "-c", script.replace("stty raw -echo", "true")],
                stdin=self.commands.fileno(),
                stdout=self.commands.fileno(),
                env={"PATH": f"{programs}:{os.defpath}"},
                check=False,
            )


def _guest() -> Guest:
    ends = {
        name: socket.socket(fileno=int(descriptor))
        for name, descriptor in re.findall(r"socket,id=(\w+),fd=(\d+)", " ".join(sys.argv))
    }
    threading.Thread(target=_monitor, args=[ends["monitor"]], daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    return Guest(console=ends["console"], commands=ends["commands"])


def _monitor(end: socket.socket) -> None:
    def say(message: object) -> None:
        end.sendall(json.dumps(message).encode() + b"\r\n")

    say({"QMP": {"version": {}, "capabilities": []}})
    with end.makefile() as stream:
        for line in stream:
            request: dict[str, Any] = json.loads(line)
            match request:
                case {"execute": "screendump", "arguments": {"filename": str(name)}}:
                    Path(name).write_bytes(PICTURE)
                case {"execute": "system_powerdown"}:
                    os.kill(os.getpid(), signal.SIGTERM)
            say({"event": "RESUME", "timestamp": {}})
            answer = _statistics() if request["execute"] == "query-blockstats" else {}
            say({"return": answer, "id": request["id"]})


def _statistics() -> list[dict[str, Any]]:
    """What has been written to the disk: all that is no hole."""
    written = Path(_disk()).stat().st_blocks * 512
    return [{"qdev": "/machine/disk", "stats": {"wr_bytes": written, "rd_bytes": 0}}]


def _disk() -> str:
    """The path of the file that the machine writes to."""
    nodes = [json.loads(word) for word in sys.argv if word.startswith('{"driver": "file"')]
    return next(str(node["filename"]) for node in nodes if node["node-name"] == "disk-file")


def _comes_up(guest: Guest) -> None:
    guest.boot()
    while not guest.log_in():
        pass
    guest.serve()


def _has_one_port(guest: Guest) -> None:
    guest.boot()
    guest.log_in()
    guest.say(guest.hear() + "\nsh: 1: cannot open /dev/ttyS1: Permission denied\n")
    time.sleep(60)


def _shows_no_prompt(guest: Guest) -> None:
    guest.say("[  OK  ] Reached target \x1b[0;1;39mmulti-user.target\x1b[0m - Multi-User System.\n")
    time.sleep(60)


def _panics(guest: Guest) -> None:
    guest.say("[    0.000000] Linux version 6.1.0\nVFS: Cannot open root\n")
    guest.say("Kernel panic - not syncing: \x1b[1mNo working init\x1b[0m\n")
    guest.say("[    2.3] ---[ end Kernel panic ]---\n")
    time.sleep(60)


def _panics_later(guest: Guest) -> None:
    guest.boot()
    guest.log_in()
    guest.say("Kernel panic - not syncing: later\n")
    time.sleep(60)


def _panics_at_its_end(guest: Guest) -> None:
    signal.signal(signal.SIGTERM, lambda *_: guest.say("Kernel panic - not syncing: the end\n"))
    guest.boot()
    time.sleep(60)


def _finds_no_system(guest: Guest) -> None:
    guest.say(
        "Booting from Hard Disk...\nBoot failed: not a bootable disk\n\nNo bootable device.\n"
    )
    time.sleep(60)


def _stops_in_grub(guest: Guest) -> None:
    guest.say("Welcome to GRUB!\nerror: no such device: 46\x1b[06;24H\x1b[06;25Hee.\n")
    for letter in "grub rescue> ":
        guest.say(letter)
    time.sleep(60)


def _needs_rescue(guest: Guest) -> None:
    guest.say("[\x1b[0;1;31m TIME \x1b[0m] No /dev/vdz.\n")
    guest.say("[\x1b[0;1;33mDEPEND\x1b[0m] No /data.\n")
    guest.say("[   29.1] a firmware that failed to load does no harm\n" * 100)
    guest.say("You are in emergency mode.\nGive root password for maintenance\n")
    time.sleep(60)


def _says_nothing(_guest: Guest) -> None:
    time.sleep(60)


def _gets_stuck(guest: Guest) -> None:
    guest.say("[    1.0] waiting for \x1b[31ma device\x1b[0m\n")
    time.sleep(60)


def _restarts(guest: Guest) -> None:
    guest.say("[    1.0] Rebooting.\n")


def _dies(_guest: Guest) -> None:
    sys.stderr.write("qemu-system-x86_64: cannot set up guest memory\n")
    sys.exit(1)


def _talks_without_end(guest: Guest) -> None:
    guest.say("x" * 100_000 + "\n")
    for block in range(100):
        lines = range(1000 * block, 1000 * block + 1000)
        guest.say("".join(f"[{number:9d}] a line of a guest that talks much\n" for number in lines))
    guest.boot()
    time.sleep(60)


def _installs(guest: Guest) -> None:
    guest.say("[    0.000000] Linux version 6.1.0\nPartitioning disks\n")
    with Path(_disk()).open("r+b") as disk:
        disk.write(b"an installed system")
        os.fsync(disk.fileno())
    time.sleep(1)  # long enough to be looked at


def _installs_nothing(guest: Guest) -> None:
    guest.say("[    0.000000] Linux version 6.1.0\n")


def _asks(guest: Guest) -> None:
    guest.say("Configure the network\nName server addresses:\nPrompt: '?' for help, default=> ")
    time.sleep(60)


def _shows_a_clock(guest: Guest) -> None:
    for minute in range(600):
        guest.say(f"Nov 28 6:{minute:02d}\n")
        time.sleep(0.1)


SCENARIOS: Final[Mapping[str, Callable[[Guest], None]]] = {
    "comes up": _comes_up,
    "without seccomp": _comes_up,
    "has one port": _has_one_port,
    "shows no prompt": _shows_no_prompt,
    "panics": _panics,
    "panics later": _panics_later,
    "panics at its end": _panics_at_its_end,
    "finds no system": _finds_no_system,
    "stops in grub": _stops_in_grub,
    "needs rescue": _needs_rescue,
    "says nothing": _says_nothing,
    "gets stuck": _gets_stuck,
    "restarts": _restarts,
    "dies": _dies,
    "talks without end": _talks_without_end,
    "installs": _installs,
    "installs nothing": _installs_nothing,
    "asks": _asks,
    "shows a clock": _shows_a_clock,
}
