"""A daemon for each test, which leaves nothing behind."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.daemon_process import Daemon
from fakes.leaks import processes_in
from fakes.patient import install


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet; at the end all that it has left is killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = Daemon(state=tmp_path / "state", plugins=install(tmp_path / "plugins"), port=port)
    yield daemon
    for process in daemon.started:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    pid = daemon.state / "imagefactoryd.pid"
    if pid.exists():
        os.kill(int(pid.read_text()), signal.SIGKILL)
    ends = time.monotonic() + 20
    while processes_in(daemon.state) and time.monotonic() < ends:
        time.sleep(0.1)
    assert processes_in(daemon.state) == []
