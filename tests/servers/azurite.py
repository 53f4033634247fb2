"""Azurite, Microsoft's own emulator of Azure's blobs, on loopback."""

import base64
import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2
import pytest

from servers.environment import CACHE

HERE: Final = Path(__file__).resolve().parent / "node"  #: the lock of the packages
_FOLDER: Final = CACHE / "azurite"
_INSTALLING: Final = 600  # seconds
_STARTING: Final = 60.0  # seconds; neighbours may be busy
ACCOUNT: Final = "factory"


@dataclass(frozen=True, kw_only=True)
class Azurite:
    """A blob service that runs."""

    url: str  #: of the account
    key: str = field(repr=False)


@contextmanager
def running(state: Path) -> Iterator[Azurite]:
    """The service, with a state of its own, gone at the end of the block."""
    program = _program()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    command = ["node", str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--location", str(state), "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    log = state / "azurite.out"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=state,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            _await(f"http://127.0.0.1:{port}", process, log)
            yield Azurite(url=f"http://127.0.0.1:{port}/{ACCOUNT}", key=key)
        finally:
            process.kill()


def _program() -> Path:
    """Azurite's start script, installed by npm once. Skips the test where that cannot be, except in CI."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "azurite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = _FOLDER / ".installed"
        wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            _install()
            stamp.write_text(wanted)
    return _FOLDER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def _install() -> None:
    if not shutil.which("npm"):
        _give_up("npm is not installed (Debian's packages nodejs and npm)")
    shutil.rmtree(_FOLDER, ignore_errors=True)
    shutil.copytree(HERE, _FOLDER)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
        cwd=_FOLDER,
        check=False,
        capture_output=True,
        text=True,
        timeout=_INSTALLING,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        _give_up(done.stderr)


def _give_up(reason: str) -> None:
    message = f"Azurite cannot be installed: {reason}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < ends:
        try:
            httpx2.get(url, timeout=5)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"Azurite does not answer:\n{log.read_text(errors='replace')[-4000:]}")
