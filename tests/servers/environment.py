"""The environment that test servers run in: made once from hashed requirements, never the product's."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
REQUIREMENTS: Final = ROOT / "requirements" / "servers.txt"
CACHE: Final = ROOT / ".cache"
FOLDER: Final = CACHE / "servers-venv"
_PATIENCE: Final = 900  # seconds for some 130 packages


def programs() -> Path:
    """The folder of the servers' programs. Skips the test where they cannot be installed, except in CI."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "servers-venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = FOLDER / ".installed"
        wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            _install()
            stamp.write_text(wanted)
    return FOLDER / "bin"


def _install() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    python = FOLDER / "bin" / "python"
    pip = [python, "-m", "pip", "-qq", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", FOLDER],
        [*pip, "install", "--require-hashes", "--requirement", REQUIREMENTS],
    ):
        done = subprocess.run(
            [str(word) for word in command],
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            message = f"The servers' environment cannot be made: {done.stderr}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
