"""A real daemon as a process of its own, which is stopped at the end."""

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.patience import until


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """Where it listens, and what it keeps."""

    url: str  #: without the path
    port: int
    state: Path
    log: Path

    @property
    def certificate(self) -> Path:
        return self.state / "tls.pem"

    @property
    def trust(self) -> ssl.SSLContext:
        """What makes a client trust the daemon's certificate, and no other."""
        return ssl.create_default_context(cafile=self.certificate)


@contextmanager
def a_daemon(folder: Path, **settings: Any) -> Iterator[Daemon]:
    """A daemon with these settings, whose files lie in this folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    scheme = "http" if settings.get("no_ssl") else "https"
    url = f"{scheme}://127.0.0.1:{port}"
    daemon = Daemon(url=url, port=port, state=folder / "state", log=folder / "log")
    config = folder / "imagefactory.conf"
    config.write_text(
        json.dumps(
            {
                "state": str(daemon.state),
                "address": "127.0.0.1",
                "port": port,
                **settings,
            }
        )
    )
    argv = [sys.executable, "-m", "imagefactory.daemon", "--config", str(config), "--foreground"]
    with daemon.log.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, daemon.log.read_text()
        yield daemon
    finally:
        process.terminate()
        assert process.wait(30) == 0, daemon.log.read_text()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
