"""The steps that give a guest of the RPM family the template's repositories, and take some away again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.template import Repository
from imagefactory.engine.packages.dnf import Manager
from imagefactory.engine.packages.dnf_sources import (
    Distribution,
    RpmSource,
    distribution_sources,
    section,
    template_sources,
)
from imagefactory.engine.packages.locked import present_sources
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.tree import Tree

_FOLDERS: Final[Mapping[Manager, str]] = {"dnf": "/etc/yum.repos.d", "zypper": "/etc/zypp/repos.d"}
_KEYS: Final = "/etc/pki/rpm-gpg"


@dataclass(frozen=True, kw_only=True)
class AddRpmRepositories(Step):
    """Writes the template's repositories into the guest; its distribution's `own` mostly come in a package.

    The URLs are the template's, whatever the factory fetched from. A signed repository brings its keys.
    """

    weight = 1

    repositories: tuple[Repository, ...] = ()
    manager: Manager = "dnf"
    own: Distribution | None = None  #: where no package names them

    @property
    def activity(self) -> str:
        return "Adding repositories"

    def run(self, build: Build) -> None:
        wanted = list(self._wanted(build))
        if not wanted:
            return
        with Tree.load(build).change("repositories") as change:
            for repository, source in wanted:
                keys = None
                if source.keys is not None:
                    keys = _keys(repository)
                    change.write(keys, Path(source.keys).read_bytes())
                text = repository_file(repository, keys=keys)
                change.write(_file(repository, self.manager), text.encode())

    def _wanted(self, build: Build) -> Iterator[tuple[Repository, RpmSource]]:
        if self.own is not None:
            present = present_sources(build)  # a given lock has not looked: then all are named
            for source in distribution_sources(self.own, build.keyrings):
                if present is None or source.name in present:
                    yield Repository(name=source.name, url=source.url, signed=True), source
        sources = template_sources(self.repositories, build.keyrings)
        yield from zip(self.repositories, sources, strict=True)


@dataclass(frozen=True, kw_only=True)
class RemoveRpmRepositories(Step):
    """Removes the repositories that were wanted only while the image was made (`persisted`)."""

    weight = 1

    repositories: tuple[Repository, ...] = ()  #: all of the template's
    manager: Manager = "dnf"

    @property
    def activity(self) -> str:
        return "Removing repositories"

    def run(self, build: Build) -> None:
        passing = [one for one in self.repositories if not one.persisted]
        if not passing:
            return
        paths = [path for one in passing for path in (_file(one, self.manager), _keys(one))]
        with Tree.load(build).change("repositories-removed") as change:
            change.run(["rm", "-f", "--", *paths])


def repository_file(repository: Repository, *, keys: str | None) -> str:
    """The repository as a file of `yum.repos.d`; `keys` is the guest's file that it is verified with."""
    name = section(repository.name)
    lines = [
        f"[{name}]",
        f"name={name}",
        f"baseurl={repository.url.strip()}",
        "skip_if_unavailable=1",
        "enabled=1",
        f"sslverify={int(repository.sslverify)}",
        f"gpgcheck={int(repository.signed)}",
    ]
    if keys is not None:
        lines.append(f"gpgkey=file://{keys}")
    return "\n".join(lines) + "\n"


def _file(repository: Repository, manager: Manager) -> str:
    return f"{_FOLDERS[manager]}/{section(repository.name)}.repo"


def _keys(repository: Repository) -> str:
    return f"{_KEYS}/{section(repository.name)}"
