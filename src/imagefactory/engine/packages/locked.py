"""The lock as the steps of one build hand it on, and the step that fetches all it names."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from imagefactory.core.errors import BuildError, RequestError
from imagefactory.core.lock import Lock
from imagefactory.engine.discs import twin_on
from imagefactory.engine.download import Wanted, download
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build, Step

NAME: Final = "lock.json"
SOURCES: Final = "sources.json"

#: What a package's name, version, architecture, digest and layer look like (Debian Policy 5.6, rpm-version(7)).
_FORMS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"[A-Za-z0-9][A-Za-z0-9+.-]*",
        r"[A-Za-z0-9][A-Za-z0-9.+:~-]*",
        r"[a-z0-9-]+",
        r"[0-9a-f]{64}",
        r"base|packages",
    )
)
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


def present_sources(build: Build) -> set[str] | None:
    """The names of the distribution's sources that its archive has; None when nobody has looked."""
    path = build.scratch / SOURCES
    return set(json.loads(path.read_text())) if path.exists() else None


def write_present_sources(build: Build, names: Iterable[str]) -> None:
    """Remember which of the distribution's sources there are."""
    write_atomically(build.scratch / SOURCES, json.dumps(sorted(names)))


def checked(lock: Lock) -> Lock:
    """A lock from somebody else, whose names and digests end up in paths and command lines."""
    for package in lock.packages:
        values = package.name, package.version, package.arch, package.sha256, package.layer
        if not all(pattern.fullmatch(value) for pattern, value in zip(_FORMS, values, strict=True)):
            msg = f'The lock has a malformed entry for the package "{package.name}"'
            raise RequestError(msg)
    return lock


@dataclass(frozen=True, kw_only=True)
class FetchPackages(Step):
    """Brings every package file of the lock into the cache, checked against the lock's SHA-256."""

    weight = 10

    disc: str | None = None  #: the URL of an image that is looked into first

    @property
    def activity(self) -> str:
        return "Fetching packages"

    def run(self, build: Build) -> None:
        packages = read_lock(build).packages
        size = sum(package.size for package in packages)
        build.report(0, f"Fetching {len(packages)} packages ({size / _MB:.0f} MB)")
        wanted = [
            Wanted(
                url=url,
                sha256=package.sha256,
                size=package.size,
                label=f'package "{package.name}"',
                otherwise=package.url if url != package.url else None,
            )
            for package in packages
            for url in [self._place(package.url)]
        ]
        fetched = download(build, wanted)
        build.tools.log(f"Fetched {fetched / _MB:.1f} MB; the rest was in the cache")

    def _place(self, url: str) -> str:
        return (self.disc and twin_on(self.disc, url)) or url
