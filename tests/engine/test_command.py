"""Tools are started in one place, and nothing of them outlives their run."""

import os
import threading
import time
from pathlib import Path

import pytest

from imagefactory.core.errors import BuildError, Cancelled, CommandFailed, ToolMissing
from imagefactory.engine.command import Cancellation, Tools


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int, *, within: float = 2.0) -> bool:
    end = time.monotonic() + within
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_output_is_returned_and_both_streams_reach_the_log() -> None:
    lines: list[str] = []
    out = Tools(log=lines.append).run(["sh", "-c", "echo one; echo two >&2; printf three"])
    assert out == "one\nthree"
    assert lines[0] == "+ sh -c 'echo one; echo two >&2; printf three'"
    assert sorted(lines[1:]) == ["one", "three", "two"]


def test_standard_input_reaches_the_tool_and_not_the_log() -> None:
    lines: list[str] = []
    big = b"password" * 100_000  # more than a pipe holds
    assert Tools(log=lines.append).run(["wc", "-c"], stdin=big).strip() == str(len(big))
    assert not any("password" in line for line in lines)


def test_a_tool_that_ignores_its_input_is_no_error() -> None:
    assert Tools().run(["true"], stdin=b"x" * 1_000_000) == ""


def test_quiet_keeps_standard_output_out_of_the_log() -> None:
    lines: list[str] = []
    assert Tools(log=lines.append).run(["echo", "hidden"], quiet=True) == "hidden\n"
    assert lines == ["+ echo hidden"]


def test_a_failure_says_which_tool_how_and_its_last_lines() -> None:
    with pytest.raises(CommandFailed) as caught:
        Tools().run(["sh", "-c", "echo first; echo last words >&2; exit 7"])
    assert str(caught.value) == '"sh" failed with exit status 7: first; last words'
    assert caught.value.exit_status == 7
    assert caught.value.tail == "first\nlast words"


def test_a_failure_by_signal_names_it() -> None:
    with pytest.raises(CommandFailed, match="signal SIGSEGV"):
        Tools().run(["sh", "-c", "kill -SEGV $$"])


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(ToolMissing) as caught:
        Tools(path="/nonexistent").run(["mkfs.ext4"])
    assert str(caught.value) == 'The program "mkfs.ext4" is not installed'
    assert caught.value.hint == 'Install the package "e2fsprogs"'


def test_the_environment_of_the_caller_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    assert "s3cret" not in Tools().run(["env"])


@pytest.mark.parametrize(("limit", "timeout"), [(None, 0.4), (0.4, None), (60, 0.4)])
def test_a_time_limit_ends_the_tool(
    tmp_path: Path, limit: float | None, timeout: float | None
) -> None:
    pid = tmp_path / "pid"
    tools = Tools(limit=limit)
    with pytest.raises(BuildError, match=r'^"sh" took longer than 0 s and was stopped$'):
        tools.run(["sh", "-c", f"sleep 60 & echo $! > {pid}; wait"], timeout=timeout)
    assert gone(int(pid.read_text()))


def test_a_cancellation_kills_the_whole_group_within_two_seconds(tmp_path: Path) -> None:
    pid, cancellation = tmp_path / "pid", Cancellation()
    threading.Timer(0.3, cancellation.request).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        Tools(cancellation=cancellation).run(["sh", "-c", f"sleep 60 & echo $! > {pid}; wait"])
    assert time.monotonic() - started < 2
    assert gone(int(pid.read_text()))


def test_a_cancelled_build_starts_nothing(tmp_path: Path) -> None:
    cancellation = Cancellation()
    cancellation.request()
    with pytest.raises(Cancelled):
        Tools(cancellation=cancellation).run(["touch", tmp_path / "made"])
    assert not (tmp_path / "made").exists()


def test_a_tool_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    child = os.fork()
    if child == 0:
        Tools().run(["sh", "-c", f"echo $$ > {pid}; exec sleep 60"])
        os._exit(0)
    while not pid.exists() or not pid.read_text():
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert gone(int(pid.read_text()))


def test_what_a_tool_leaves_in_the_background_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    Tools().run(["sh", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! > {pid}"])
    assert gone(int(pid.read_text()))
