"""A real ovirt-imageio on loopback, the daemon that takes disks on the hosts of oVirt.

It is run as a program and spoken to by HTTP: who imports it takes its licence.
"""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from servers.environment import programs

_CONFIG: Final = """\
[daemon]
run_dir = {state}
drop_privileges = false
systemd_enable = false
[tls]
enable = false
[remote]
host = 127.0.0.1
port = {port}
[local]
enable = false
[control]
transport = unix
socket = {state}/control
[loggers]
keys = root
[handlers]
keys = stderr
[formatters]
keys = long
[logger_root]
level = WARNING
handlers = stderr
[handler_stderr]
class = logging.StreamHandler
formatter = long
[formatter_long]
format = %(message)s
"""
_STARTING: Final = 60.0  # seconds; neighbours may be busy


@dataclass(frozen=True, kw_only=True)
class ImageIO:
    """A daemon that runs."""

    url: str
    control: Path

    def admit(self, ticket: Mapping[str, Any]) -> str:
        """The address at which a ticket's file may be read or written."""
        with self._controlled() as client:
            path = f"/tickets/{ticket['uuid']}"
            client.put(path, json=dict(ticket)).raise_for_status()
        return f"{self.url}/images/{ticket['uuid']}"

    def dismiss(self, ticket: str) -> None:
        """Take it away."""
        with self._controlled() as client:
            client.delete(f"/tickets/{ticket}").raise_for_status()

    def _controlled(self) -> httpx2.Client:
        transport = httpx2.HTTPTransport(uds=str(self.control))
        return httpx2.Client(transport=transport, base_url="http://control", timeout=90)


@contextmanager
def running(state: Path) -> Iterator[ImageIO]:
    """The daemon, as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (state / "conf.d").mkdir()
    config = _CONFIG.format(state=state, port=port)
    (state / "conf.d" / "test.conf").write_text(config)
    log = state / "imageio.out"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [programs() / "ovirt-imageio", "--conf-dir", state],
            cwd=state,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        daemon = ImageIO(url=f"http://127.0.0.1:{port}", control=state / "control")
        try:
            _await(daemon, process, log)
            yield daemon
        finally:
            process.kill()


def _await(daemon: ImageIO, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < ends:
        try:
            httpx2.request("OPTIONS", f"{daemon.url}/images/*", timeout=5)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            if daemon.control.exists():
                return
    pytest.fail(f"ovirt-imageio does not answer:\n{log.read_text(errors='replace')[-4000:]}")
