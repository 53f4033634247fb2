"""The lock as the steps of one build hand it on, and the step that fetches all it names."""

from dataclasses import dataclass
from typing import Final

from imagefactory.core.errors import BuildError
from imagefactory.core.lock import Lock
from imagefactory.engine.download import Wanted, download
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build, Step

NAME: Final = "lock.json"
_MB: Final = 1_000_000


def read_lock(build: Build) -> Lock:
    """The lock that an earlier step of this build wrote."""
    path = build.scratch / NAME
    if not path.exists():
        msg = "Nothing has resolved the packages of this build"
        raise BuildError(msg)
    return Lock.loads(path.read_text())


def write_lock(build: Build, lock: Lock) -> None:
    """Keep the lock for the steps that follow, and for people."""
    text = lock.dumps()
    for folder in (build.artifacts, build.scratch):
        write_atomically(folder / NAME, text)


@dataclass(frozen=True, kw_only=True)
class FetchPackages(Step):
    """Brings every package file of the lock into the cache, checked against the lock's SHA-256."""

    weight = 10

    @property
    def activity(self) -> str:
        return "Fetching packages"

    def run(self, build: Build) -> None:
        packages = read_lock(build).packages
        size = sum(package.size for package in packages)
        build.report(0, f"Fetching {len(packages)} packages ({size / _MB:.0f} MB)")
        wanted = [
            Wanted(
                url=package.url,
                sha256=package.sha256,
                size=package.size,
                label=f'package "{package.name}"',
            )
            for package in packages
        ]
        fetched = download(build, wanted)
        build.tools.log(f"Fetched {fetched / _MB:.1f} MB; the rest was in the cache")
