"""vcsim, a simulator of vCenter, built from Debian's sources of govmomi."""

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from servers.environment import CACHE

USER: Final = "factory"
PASSWORD: Final = "not-to-be-shown"
_SOURCE: Final = Path(__file__).resolve().parent / "vcsim" / "main.go"
_LIBRARY: Final = Path("/usr/share/gocode/src/github.com/vmware/govmomi")
_BUILDING: Final = 600  # seconds
_STARTING: Final = 60.0  # seconds; neighbours may be busy


@dataclass(frozen=True, kw_only=True)
class VCenter:
    """A simulated vCenter that runs."""

    url: str
    uploads: Path  #: a file for each lease that a whole disk came under

    def uploaded(self) -> bytes:
        """The disk that came last."""
        files = sorted(self.uploads.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        return files[-1].read_bytes()


@contextmanager
def running(state: Path) -> Iterator[VCenter]:
    """The simulator with its usual inventory, gone at the end of the block."""
    program = _program()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log, uploads = state / "vcsim.out", state / "uploads"
    uploads.mkdir()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [program, f"127.0.0.1:{port}", f"{USER}:{PASSWORD}", uploads],
            cwd=state,
            env={**os.environ, "TMPDIR": str(state)},  # its datastores
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            _await(port, process, log)
            yield VCenter(url=f"https://127.0.0.1:{port}/sdk", uploads=uploads)
        finally:
            process.kill()


def _program() -> Path:
    """The simulator, built once for each version of its sources. Skips the test where that cannot be, except in CI."""
    if not shutil.which("go") or not _LIBRARY.is_dir():
        _give_up("Debian's golang-go and golang-github-vmware-govmomi-dev are not installed")
    CACHE.mkdir(exist_ok=True)
    version = (_LIBRARY / "simulator" / "virtual_machine.go").read_bytes()
    key = hashlib.sha256(_SOURCE.read_bytes() + version).hexdigest()[:16]
    program = CACHE / f"vcsim-{key}"
    with (CACHE / "vcsim.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(program)
    return program


def _build(program: Path) -> None:
    own = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(CACHE / "go")}
    unfinished = program.with_suffix(".part")
    done = subprocess.run(
        ["go", "build", "-o", unfinished, _SOURCE],
        env={**os.environ, **own},
        check=False,
        capture_output=True,
        text=True,
        timeout=_BUILDING,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        _give_up(done.stderr)
    unfinished.replace(program)


def _give_up(reason: str) -> None:
    message = f"vcsim cannot be built: {reason}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"vcsim does not answer:\n{log.read_text(errors='replace')[-4000:]}")
