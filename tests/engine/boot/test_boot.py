"""A boot from switching on to the report, with a fake QEMU that plays the guest."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fakes.qemu import PASSWORD, PICTURE, commands, fake_qemu
from imagefactory.core.errors import BootError, BuildError, Cancelled
from imagefactory.core.secret import Secret
from imagefactory.engine.boot import session
from imagefactory.engine.boot.accelerator import Emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.report import BootReport, CommandResult
from imagefactory.engine.boot.request import Boot, Login
from imagefactory.engine.command import Tools

EMULATOR = Emulator(version="9.9.1", accelerator="tcg", sandbox=True)
ROOT = Login(password=Secret(PASSWORD))


def a_boot(tmp_path: Path, scenario: str, **wanted: Any) -> BootReport:
    """Boot a disk of some bytes."""
    return boot_with(fake_qemu(tmp_path / "bin", scenario), tmp_path, **wanted)


def boot_with(tools: Tools, tmp_path: Path, **wanted: Any) -> BootReport:
    disk, scratch = tmp_path / "disk", tmp_path / "scratch"
    disk.write_bytes(b"a raw disk".ljust(4096, b"\0"))
    scratch.mkdir()
    try:
        what = Boot(disk=disk, **{"timeout": 20, **wanted})
        return boot(what, tools=tools, emulator=EMULATOR, scratch=scratch)
    finally:
        assert not list(scratch.iterdir())
        assert disk.read_bytes() == b"a raw disk".ljust(4096, b"\0")


def test_a_system_that_comes_up(tmp_path: Path) -> None:
    stages: list[str] = []
    report = a_boot(
        tmp_path,
        "comes up",
        log=tmp_path / "boot.log",
        screenshot=tmp_path / "boot.png",
        watch=stages.append,
    )
    assert stages == ["kernel", "systemd", "login"]
    assert (report.firmware, report.accelerator) == ("bios", "tcg")
    assert report.kernel is not None
    assert report.login is not None
    assert 0 < report.kernel <= report.login == report.up < 20
    assert (report.target, report.off, report.commands) == (None, None, ())
    assert report.console[-2:] == ("Debian GNU/Linux 12 here ttyS0", "here login:")
    assert (tmp_path / "boot.png").read_bytes() == PICTURE
    assert b"Welcome to \x1b[0;34mDebian" in (tmp_path / "boot.log").read_bytes()


def test_a_system_without_a_prompt_is_up_at_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_PROMPT_SECONDS", 0.1)
    report = a_boot(tmp_path, "shows no prompt")
    assert report.login is None
    assert report.up == report.target


def test_commands_answer_exactly(tmp_path: Path) -> None:
    wanted = [
        'echo "it\'s" >&2; exit 3',
        "printf 'no end of line'; cat",
        "printf 'a\\tb\\r\\n\\n'",
        "seq 1 20000",
        "test -t 1 || echo no terminal",
    ]
    report = a_boot(tmp_path, "comes up", login=ROOT, run=wanted)
    results = [(result.status, result.output) for result in report.commands]
    assert results == [
        (3, "it's\n"),
        (0, "no end of line"),
        (0, "a\tb\r\n\n"),
        (0, "".join(f"{number}\n" for number in range(1, 20001))),
        (0, "no terminal\n"),
    ]
    assert [result.command for result in report.commands] == wanted


def test_the_password_is_nowhere(tmp_path: Path) -> None:
    lines: list[str] = []
    tools = fake_qemu(tmp_path / "bin", "comes up")
    tools = Tools(path=tools.path, log=lines.append)
    report = boot_with(tools, tmp_path, login=ROOT, run=["id -u"], log=tmp_path / "boot.log")
    for place in (
        repr(report),
        repr(ROOT),
        "\n".join(lines),
        str(commands(tmp_path / "bin")),
        (tmp_path / "boot.log").read_text(),
    ):
        assert PASSWORD not in place
        assert "here login" in (tmp_path / "boot.log").read_text()


@pytest.mark.parametrize("login", [ROOT, None], ids=["by its shell", "by its power button"])
def test_a_system_switches_itself_off(tmp_path: Path, login: Login | None) -> None:
    report = a_boot(tmp_path, "comes up", login=login, switch_off=True)
    assert report.off is not None
    assert 0 <= report.off < 10


def test_a_system_that_cannot_switch_itself_off(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="not syncing: the end"):
        a_boot(tmp_path, "panics at its end", switch_off=True)


@pytest.mark.parametrize(
    ("scenario", "what", "why"),
    [
        (
            "panics",
            "did not boot",
            'the console says "VFS: Cannot open root / Kernel panic - not syncing: No working init"',
        ),
        (
            "finds no system",
            "did not boot",
            'the console says "Boot failed: not a bootable disk / No bootable device."',
        ),
        (
            "stops in grub",
            "did not boot",
            'the console says "error: no such device: 46ee. / grub rescue>"',
        ),
        (
            "needs rescue",
            "did not boot",
            'the console says "[ TIME ] No /dev/vdz. / [DEPEND] No /data. / You are in emergency mode."',
        ),
        (
            "restarts",
            "switched its machine off or restarted it, and did not reach a login prompt",
            'the console ended with "[    1.0] Rebooting."',
        ),
        (
            "dies",
            "did not reach a login prompt",
            'QEMU ended with "qemu-system-x86_64: cannot set up guest memory"',
        ),
    ],
)
def test_a_failure_is_told_at_once(tmp_path: Path, scenario: str, what: str, why: str) -> None:
    started = time.monotonic()
    with pytest.raises(BootError) as failure:
        a_boot(tmp_path, scenario, timeout=600, log=tmp_path / "boot.log")
    assert time.monotonic() - started < 20
    assert str(failure.value) == f'The disk "disk" {what} (BIOS): {why}'
    assert failure.value.hint == f'Read the whole console in "{tmp_path}/boot.log"'


@pytest.mark.parametrize(
    ("scenario", "ending"),
    [
        ("says nothing", "the console stayed silent"),
        ("gets stuck", 'the console ended with "[    1.0] waiting for a device"'),
    ],
)
def test_the_time_limit_ends_a_boot(tmp_path: Path, scenario: str, ending: str) -> None:
    with pytest.raises(BootError) as failure:
        a_boot(tmp_path, scenario, timeout=1, screenshot=tmp_path / "boot.png")
    wanted = f'The disk "disk" did not reach a login prompt in 1 s (BIOS): {ending}'
    assert str(failure.value) == wanted
    assert (tmp_path / "boot.png").read_bytes() == PICTURE


def test_the_end_of_the_console_comes_with_the_error(tmp_path: Path) -> None:
    with pytest.raises(BootError) as failure:
        a_boot(tmp_path, "panics")
    assert failure.value.tail.splitlines()[-1] == "[    2.3] ---[ end Kernel panic ]---"


def test_a_guest_that_talks_without_end_is_read(tmp_path: Path) -> None:
    report = a_boot(tmp_path, "talks without end", log=tmp_path / "boot.log", timeout=50)
    assert report.login is not None
    assert (tmp_path / "boot.log").stat().st_size > 4_000_000


@pytest.mark.parametrize(
    ("scenario", "password", "run", "message"),
    [
        ("comes up", "wrong", ["id"], 'refused the password of "root" (BIOS)'),
        ("has one port", PASSWORD, ["id"], 'does not let "root" open "/dev/ttyS1" (BIOS)'),
        ("panics later", PASSWORD, ["id"], "not syncing: later"),
        ("comes up", PASSWORD, ["sleep 60"], 'did not finish the command "sleep 60" in 2 s (BIOS)'),
    ],
)
def test_a_login_that_fails(
    tmp_path: Path, scenario: str, password: str, run: Sequence[str], message: str
) -> None:
    login = Login(password=Secret(password))
    with pytest.raises(BootError) as failure:
        a_boot(tmp_path, scenario, login=login, run=run, timeout=2)
    assert message in str(failure.value)


def test_a_cancelled_boot_ends_at_once(tmp_path: Path) -> None:
    tools = fake_qemu(tmp_path / "bin", "says nothing")
    threading.Timer(0.5, tools.cancellation.request).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        boot_with(tools, tmp_path, timeout=600)
    assert time.monotonic() - started < 2.5


def test_a_disk_that_is_not_there(tmp_path: Path) -> None:
    tools = fake_qemu(tmp_path / "bin", "comes up")
    with pytest.raises(BuildError, match=r'^The disk ".*none" cannot be read: No such file'):
        boot(Boot(disk=tmp_path / "none"), tools=tools, emulator=EMULATOR, scratch=tmp_path)


def test_commands_need_a_login(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="login"):
        boot(Boot(disk=tmp_path, run=["id"]), tools=Tools(), emulator=EMULATOR, scratch=tmp_path)


def test_a_report_is_plain_for_json(tmp_path: Path) -> None:
    report = a_boot(tmp_path, "comes up", login=ROOT, run=["true"])
    assert report.commands == (CommandResult(command="true", status=0, output=""),)
    assert report.facts()["commands"] == ({"command": "true", "status": 0, "output": ""},)
