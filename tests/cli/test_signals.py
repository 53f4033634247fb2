"""A build of the command line that is interrupted: cancelled, and nothing left."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.leaks import processes_in
from fakes.patience import until
from fakes.patient import GO, TEMPLATE, install
from fakes.program import Run, started

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parent.parent


@pytest.fixture
def command(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A build that waits until it is let go on."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(install(tmp_path / "p")), str(TESTS)]))
    template = tmp_path / "patient.tdl"
    template.write_text(TEMPLATE)
    state.mkdir()
    return [sys.executable, "-m", "imagefactory.cli.main", "base_image", str(template)]


def waits(state: Path) -> bool:
    steps = state / "steps"
    return steps.exists() and "second" in steps.read_text()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_is_cancelled(
    command: list[str], state: Path, run: Run, number: int, status: int
) -> None:
    with started(command) as process:
        until(lambda: waits(state), seconds=60)
        process.send_signal(number)
        out, err = process.communicate(timeout=40)
    assert process.returncode == status
    assert out == b""
    assert b"Traceback" not in err
    assert "FAILED" in run("images").out
    assert not list((state / "scratch").iterdir())
    assert processes_in(state) == []


def test_on_a_terminal_there_is_a_bar(command: list[str], state: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # the other side is closed: pty(7)
            break
        if b"Noting second" in seen:
            (state / GO).touch()
    out, _ = process.communicate(timeout=40)
    os.close(ours)
    assert process.returncode == 0
    assert out.endswith(b"SUCCESSFULLY!\n")
    text = seen.decode()
    assert "Base Image" in text
    assert "100 %" in text
    assert "== " not in text
