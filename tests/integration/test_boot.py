"""Boots in the host's own QEMU, of disks that a few bytes make."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes.bootable import boot_sector
from imagefactory.cli.main import main
from imagefactory.core.errors import BootError
from imagefactory.engine.boot.accelerator import PROGRAM, Emulator, find_emulator, runs
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.firmware import OVMF
from imagefactory.engine.boot.request import Boot
from imagefactory.engine.command import Tools

pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="QEMU is not installed")

needs_ovmf = pytest.mark.skipif(
    not any(uefi.code.exists() for uefi in OVMF), reason="OVMF is not installed"
)

#: A program that boots a silent disk and is killed in the middle of it.
VICTIM = """
import sys
from pathlib import Path
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.request import Boot
from imagefactory.engine.command import Tools
scratch, disk = Path(sys.argv[1]), Path(sys.argv[2])
tools = Tools()
emulator = find_emulator(tools, cache=disk.parent)
boot(Boot(disk=disk, memory=99 << 20), tools=tools, emulator=emulator, scratch=scratch)
"""


def a_disk(folder: Path, text: str) -> Path:
    """A raw disk whose boot sector writes a text through the BIOS, and stops."""
    disk = folder / "disk.raw"
    disk.write_bytes(boot_sector(text).ljust(1 << 20, b"\0"))
    return disk


@pytest.fixture
def emulator(tmp_path: Path) -> Emulator:
    """This host's QEMU."""
    return find_emulator(Tools(), cache=tmp_path / "cache")


def test_the_trial_guest_runs_where_every_instruction_is_emulated(tmp_path: Path) -> None:
    log: list[str] = []
    assert runs(Tools(log=log.append), "tcg", scratch=tmp_path), log


@pytest.mark.parametrize("form", ["raw", "qcow2", "vmdk", "vpc", "vdi", "vhdx"])
def test_a_disk_of_any_format_comes_up_and_is_only_read(
    tmp_path: Path, emulator: Emulator, form: str
) -> None:
    disk = a_disk(tmp_path, "\r\nhere login: ")
    if form != "raw":
        other = tmp_path / f"disk,{form}"
        Tools().run(["qemu-img", "convert", "-f", "raw", "-O", form, disk, other])
        disk = other
    disk.chmod(0o444)
    digest = hashlib.sha256(disk.read_bytes()).digest()
    wanted = Boot(disk=disk, timeout=60, screenshot=tmp_path / "boot.png")
    report = boot(wanted, tools=Tools(), emulator=emulator, scratch=tmp_path)
    assert report.console[-1] == "here login:"
    assert (tmp_path / "boot.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert hashlib.sha256(disk.read_bytes()).digest() == digest


def test_a_disk_that_is_grown_comes_up(tmp_path: Path, emulator: Emulator) -> None:
    disk = a_disk(tmp_path, "\r\nhere login: ")
    boot(
        Boot(disk=disk, size=1 << 30, timeout=60),
        tools=Tools(),
        emulator=emulator,
        scratch=tmp_path,
    )
    assert disk.stat().st_size == 1 << 20


@pytest.mark.parametrize(
    ("firmware", "words"),
    [
        ("bios", "No bootable device."),
        pytest.param("uefi", "BdsDxe: failed to load", marks=needs_ovmf),
    ],
)
def test_a_disk_without_a_system_fails_long_before_the_limit(
    tmp_path: Path, firmware: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "empty"
    disk.write_bytes(b"\0" * (1 << 20))
    started = time.monotonic()
    arguments = ["--firmware", firmware, "--output", "json", "--state", str(tmp_path / "state")]
    assert main(["boot", str(disk), *arguments]) == 1
    assert time.monotonic() - started < 200
    answer = json.loads(capsys.readouterr().out)
    assert answer["code"] == BootError.code
    assert words in answer["error"]
    assert any(words in line for line in answer["console"])


def test_the_command_line_says_when_a_system_is_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk, picture = a_disk(tmp_path, "\r\nhere login: "), tmp_path / "boot.png"
    arguments = ["--screenshot", str(picture), "--state", str(tmp_path / "state")]
    assert main(["boot", str(disk), *arguments]) == 0
    assert capsys.readouterr().out.startswith("The system was up after ")
    assert picture.exists()


def test_commands_are_refused_without_a_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--run", "id", "--state", str(tmp_path / "state")]
    assert main(["boot", str(a_disk(tmp_path, "")), *arguments]) == 1
    assert "without the password of root" in capsys.readouterr().err


def test_what_is_neither_a_file_nor_an_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boot", "nothing", "--state", str(tmp_path / "state")]) == 1
    assert 'neither a file nor an image "nothing"' in capsys.readouterr().err


def test_nothing_is_left_when_we_are_killed(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    disk = a_disk(tmp_path, "")
    with subprocess.Popen([sys.executable, "-c", VICTIM, scratch, disk]) as victim:
        machine = _wait_for_machine(victim.pid)
        victim.send_signal(signal.SIGKILL)
    ends = time.monotonic() + 5
    while Path(f"/proc/{machine}").exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not Path(f"/proc/{machine}").exists()
    assert not list(scratch.iterdir())


def _wait_for_machine(parent: int) -> int:
    """The id of the QEMU process that boots for this parent."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if os.fsencode(PROGRAM) == words[0] and b"99M" in words:
                return int(child)
        time.sleep(0.05)
    pytest.fail("No machine was started")
