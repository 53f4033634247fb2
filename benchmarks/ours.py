"""Image Factory as a user has it: its command line, on a state folder that the measurements share."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.efforts import Command, Work
from benchmarks.mirror import Mirror, mirror
from imagefactory.core.errors import BuildError
from imagefactory.core.lock import Lock
from imagefactory.engine.command import Tools
from imagefactory.engine.sandbox import Sandbox

FOLDER: Final = Path(__file__).resolve().parent.parent / ".cache" / "bench"

_TEMPLATE: Final = """<template>
  <name>bench</name>
  <os>
    <name>Debian</name>
    <version>12</version>
    <arch>x86_64</arch>
    <install type="url"><url>http://mirror.example.org/debian</url></install>
  </os>
  <disk><size>2 GiB</size></disk>
  <packages>{packages}</packages>
</template>
"""
#: what a build can make again; package files, indexes and what is known of this host's KVM stay
_MADE: Final = ("layers", "images")


@dataclass(frozen=True, kw_only=True)
class Factory:
    """A state folder whose mirror is the loopback's."""

    state: Path
    mirror: Mirror

    def template(self, *packages: str) -> Path:
        """A server that boots, and these packages more."""
        path = self.state / f"{'-'.join(['bench', *packages])}.tdl"
        added = "".join(f'<package name="{name}"/>' for name in packages)
        path.write_text(_TEMPLATE.format(packages=added))
        return path

    def command(self, *words: str | Path) -> Command:
        """The command line of the program."""
        config = self.state / "imagefactory.conf"
        return [sys.executable, "-m", "imagefactory.cli.main", "--config", config, *words]

    def base_image(self, template: Path) -> Command:
        """Build, without a boot of the copy: no peer boots what it has made."""
        return self.command("--output", "json", "base_image", template, *_UNTESTED)

    def built(self, template: Path) -> dict[str, Any]:
        """The image's metadata, and `body` in it."""
        return self._told(self.base_image(template))

    def lock(self, template: Path) -> Lock:
        """What a build of it consists of."""
        told = _output(self.command("template", "lock", template))
        return Lock.loads(told)

    def packages(self, lock: Lock) -> list[Path]:
        """The files of the packages, in our own cache."""
        objects = self.state / "cache" / "objects"
        found = {path.name: path for path in objects.rglob("*") if path.is_file()}
        return [found[package.sha256] for package in lock.packages if package.sha256 in found]

    def forget_images(self) -> None:
        """Begin with nothing but what builds share."""
        self._remove("storage", "artifacts", "scratch")
        for path in self.state.glob("*.db*"):
            path.unlink()

    def forget_bodies(self, *, besides: str) -> None:
        """Remove the bodies of all images but this one."""
        for path in (self.state / "storage").glob("*.body"):
            if path.stem != besides:
                path.unlink()

    def forget_layers(self) -> None:
        """Begin with nothing but package files."""
        self.forget_images()
        self._remove(*(f"cache/{name}" for name in _MADE))

    def work(self, name: str, command: Command, **how: Any) -> Work:
        """A measured run whose output is the body that it leaves."""
        return Work(name=name, command=command, log=self.state / "bench.log", **how)

    def _remove(self, *names: str) -> None:
        sandbox = Sandbox(state=self.state, tools=Tools())
        for name in names:
            sandbox.remove(self.state / name)

    def _told(self, command: Command) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(_output(command))
        return told


_UNTESTED: Final = ("--parameter", "boot_test", "false")


@contextmanager
def factory() -> Iterator[Factory]:
    """The factory on its mirror."""
    state = FOLDER / "ours"
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o711)
    with mirror(FOLDER / "mirror") as served:
        content = {"state": str(state), "tmpdir": str(state), "mirrors": dict(served.mirrors)}
        (state / "imagefactory.conf").write_text(json.dumps(content))
        yield Factory(state=state, mirror=served)


def _output(command: Command) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        msg = f"Image Factory did not build: {said[-1]}"
        raise BuildError(msg)
    return done.stdout
