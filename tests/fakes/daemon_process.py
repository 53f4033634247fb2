"""A daemon in a process of its own, with its worker and all."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from fakes.patience import until
from fakes.patient import TEMPLATE

NONE: Mapping[str, str] = MappingProxyType({})
TESTS = Path(__file__).parent.parent


@dataclass
class Daemon:
    """A daemon of the test's own, which may be started and ended again and again."""

    state: Path
    plugins: Path
    port: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *options: str, environment: dict[str, str] | None = None) -> int:
        """Start it in the foreground, and wait until it answers; gives its process id."""
        with (self.state.parent / "stderr").open("ab") as log:
            process = subprocess.Popen(
                self.command("--foreground", *options),
                env=self.environment | (environment or {}),
                stderr=log,
            )
        self.started.append(process)
        until(lambda: self.answers() or process.poll() is not None, seconds=60)
        assert process.poll() is None, (self.state.parent / "stderr").read_text()
        return process.pid

    def command(self, *options: str) -> list[str]:
        """How it is started."""
        words = ["--state", str(self.state), "--address", "127.0.0.1", "--port", str(self.port)]
        words += ["--no_ssl", "--no_oauth"]
        return [sys.executable, "-m", "imagefactory.daemon", *words, *options]

    @property
    def environment(self) -> dict[str, str]:
        """With the plugin that waits."""
        path = os.pathsep.join([str(self.plugins), str(TESTS)])
        config = self.state.parent / "imagefactory.conf"
        config.write_text("{}")
        return {**os.environ, "PYTHONPATH": path, "IMAGEFACTORY_CONFIG": str(config)}

    def answers(self) -> bool:
        """Whether clients can connect."""
        try:
            self.ask("")
        except URLError:
            return False
        return True

    def ask(self, path: str, body: Any = None, headers: Mapping[str, str] = NONE) -> Any:
        """GET, or POST a body."""
        request = Request(f"http://127.0.0.1:{self.port}/imagefactory{path}", headers=dict(headers))
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def begin(self) -> str:
        """Ask for an image; gives its id when its second step waits."""
        before = len(self.steps())
        asked = self.ask("/base_images", {"base_image": {"template": TEMPLATE}})
        until(lambda: len(self.steps()) == before + 2, seconds=60)
        image_id: str = asked["base_image"]["id"]
        return image_id

    def status(self, image_id: str) -> str:
        """How an image is."""
        status: str = self.ask(f"/base_images/{image_id}")["base_image"]["status"]
        return status

    def steps(self) -> list[str]:
        """The steps that have begun, of all lives."""
        path = self.state / "steps"
        return path.read_text().split() if path.exists() else []
