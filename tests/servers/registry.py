"""A real registry, Debian's docker-registry, that wants a user and a password."""

import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

USER: Final = "pusher"
PASSWORD: Final = "hunter2-and-more"
#: bcrypt of the password, made by htpasswd -B: nothing that we install makes one
_HTPASSWD: Final = "$2y$05$pUT/Srn0RnZUE4GvmEjuXeGCmOD1OvP1L2WjhCMvJXitEVcQpYWuK"

_CONFIG: Final = """
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {state}/data}}, delete: {{enabled: true}}}}
http: {{addr: 127.0.0.1:{port}}}
auth: {{htpasswd: {{realm: tests, path: {state}/htpasswd}}}}
"""


@dataclass(frozen=True, kw_only=True)
class RunningRegistry:
    """Where it listens, and what lies in it, asked by plain HTTP."""

    url: str
    state: Path

    def forget_layers(self) -> None:
        """Let the next push be the first."""
        for layers in self.state.glob("data/docker/registry/v2/repositories/**/_layers"):
            shutil.rmtree(layers)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """An answer of the registry's."""
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        given = {"Authorization": f"Basic {word}", **headers}
        return httpx2.get(f"{self.url}/v2/{path}", headers=given, trust_env=False)

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository."""
        answer: dict[str, Any] = self.get(f"{repository}/tags/list").json()
        return sorted(answer.get("tags") or [])


@contextmanager
def running_registry(state: Path) -> Iterator[RunningRegistry]:
    """A registry, as long as the block runs. Skips the test where it is not installed."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (state / "htpasswd").write_text(f"{USER}:{_HTPASSWD}\n")
    config = state / "config.yml"
    config.write_text(_CONFIG.format(state=state, port=port))
    registry = RunningRegistry(url=f"http://127.0.0.1:{port}", state=state)
    with (
        (state / "log").open("wb") as log,
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program, "serve", config],
            env={"PATH": os.environ["PATH"]},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            ends = time.monotonic() + 20
            while not _answers(registry):
                assert process.poll() is None
                assert time.monotonic() < ends
                time.sleep(0.05)
            yield registry
        finally:
            process.kill()


def _answers(registry: RunningRegistry) -> bool:
    try:
        return registry.get("").status_code == 200
    except httpx2.TransportError:
        return False
