"""A real ovirt-imageio on loopback, the daemon that takes disks on the hosts of oVirt.

It is run as a program and spoken to by HTTP: who imports it takes its licence.
"""

import socket
import ssl
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
enable = true
key_file = {state}/key.pem
cert_file = {state}/cert.pem
ca_file = {state}/cert.pem
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
    authority: str  #: PEM of the certificate that it shows

    @property
    def trusted(self) -> ssl.SSLContext:
        """What a client trusts it by."""
        return ssl.create_default_context(cadata=self.authority)

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
    authority = _certified(state)
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
        daemon = ImageIO(
            url=f"https://127.0.0.1:{port}", control=state / "control", authority=authority
        )
        try:
            _await(daemon, process, log)
            yield daemon
        finally:
            process.kill()


def _certified(state: Path) -> str:
    """A certificate of its own for the daemon, beside its key."""
    words = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(["openssl", "req", *words, *files], cwd=state, check=True, capture_output=True)
    return (state / "cert.pem").read_text()


def _await(daemon: ImageIO, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < ends:
        try:
            httpx2.request("OPTIONS", f"{daemon.url}/images/*", timeout=5, verify=daemon.trusted)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            if daemon.control.exists():
                return
    pytest.fail(f"ovirt-imageio does not answer:\n{log.read_text(errors='replace')[-4000:]}")
