"""The steps that give a guest of the Debian family its package sources, and take some away again."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.template import Repository
from imagefactory.engine.customize import keyed
from imagefactory.engine.packages.apt import repository_sources
from imagefactory.engine.packages.apt_sources import (
    SUFFIXES,
    Archive,
    Source,
    keyring_suffix,
    repository_line,
)
from imagefactory.engine.packages.locked import present_sources
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.tree import Tree

_LISTS: Final = "/etc/apt/sources.list.d"
_KEYRINGS: Final = "/etc/apt/keyrings"


@dataclass(frozen=True, kw_only=True)
class AddRepositories(Step):
    """Writes the distribution's own sources, and the template's repositories, into the guest.

    The URLs are the template's, whatever the factory fetched from. A signed repository brings its
    keyring; one that is not signed is trusted as it is, or the guest's apt would refuse it.
    """

    weight = 1

    archive: Archive
    name: str  #: of the distribution's file, e.g. `debian`
    repositories: tuple[Repository, ...] = ()

    @property
    def activity(self) -> str:
        return "Adding package sources"

    def run(self, build: Build) -> None:
        archive = self.archive.only(present_sources(build))
        sources = repository_sources(self.repositories, build.keyrings)
        keyrings = [Path(one.keyring).read_bytes() for one in sources if one.keyring is not None]
        key = keyed(self.key, [archive.stanzas().encode(), *keyrings])
        with Tree.load(build).shared("repositories", key=key, dated=False) as change:
            if change is None:
                return
            change.write(f"{_LISTS}/{self.name}.sources", archive.stanzas().encode())
            for repository, source in zip(self.repositories, sources, strict=True):
                keyring = None
                if source.keyring is not None:
                    keys = Path(source.keyring).read_bytes()
                    keyring = _KEYRINGS + "/" + _file_name(repository) + keyring_suffix(keys)
                    change.write(keyring, keys)
                change.write(_list(repository), guest_line(repository, keyring).encode())


@dataclass(frozen=True, kw_only=True)
class RemoveRepositories(Step):
    """Removes the repositories that were wanted only while the image was made (`persisted`)."""

    weight = 1

    repositories: tuple[Repository, ...] = ()  #: all of the template's

    @property
    def activity(self) -> str:
        return "Removing package sources"

    def run(self, build: Build) -> None:
        passing = [one for one in self.repositories if not one.persisted]
        if not passing:
            return
        paths = [
            path
            for one in passing
            for path in (_list(one), *(f"{_KEYRINGS}/{_file_name(one)}{end}" for end in SUFFIXES))
        ]
        tree = Tree.load(build)
        with tree.shared("repositories-removed", key=self.key, dated=False) as change:
            if change is None:
                return
            change.run(["sh", "-euc", 'rm -f -- "$@"; rm -rf /var/lib/apt/lists/*', "sh", *paths])


def guest_line(repository: Repository, keyring: str | None) -> str:
    """The repository as the guest's apt reads it: the template's line, and whom to believe."""
    line = repository_line(repository)
    options = {
        key: value for key, value in line.options.items() if key not in {"trusted", "signed-by"}
    }
    trust = {"trusted": "yes"} if keyring is None else {"signed-by": keyring}
    source = Source(name="", url=line.url, suite=line.suite, components=line.components)
    return source.line(url=line.url, options={**options, **trust}) + "\n"


def _list(repository: Repository) -> str:
    return f"{_LISTS}/{_file_name(repository)}.list"


def _file_name(repository: Repository) -> str:
    """Without the signs for which apt would ignore the file (sources.list(5))."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", repository.name)
