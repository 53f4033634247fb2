"""Package sources of the RPM family: what a system or a template names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from imagefactory.core.errors import TemplateError, VerificationError
from imagefactory.core.template import Repository
from imagefactory.engine.mirrors import keyring_of, shown


@dataclass(frozen=True, kw_only=True)
class RpmSource:
    """One repository, as the template names it (dnf.conf(5))."""

    name: str  #: what the lock calls the origin of its packages
    url: str  #: of the folder that holds `repodata`; without a slash at the end
    keys: str | None = None  #: file of the host; None: packages are taken without a signature
    signed_index: bool = False  #: whether the index must be signed too (`repo_gpgcheck`)
    optional: bool = False  #: left out when there is no such repository


@dataclass(frozen=True, kw_only=True)
class Part:
    """One repository of a distribution."""

    name: str  #: e.g. `fedora`, `appstream`
    path: str = ""  #: from the template's URL, e.g. `../../../AppStream/x86_64/os`
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Where a distribution comes from: its repositories around one URL, and who signs them."""

    url: str  #: as the template names it
    parts: tuple[Part, ...]
    keys: str  #: file of the host, unless the configuration's `keyrings` name another
    signed_index: bool = False

    @property
    def sources(self) -> tuple[RpmSource, ...]:
        """One source for each repository."""
        return tuple(
            RpmSource(
                name=part.name,
                url=self.place(part),
                keys=self.keys,
                signed_index=self.signed_index,
                optional=part.optional,
            )
            for part in self.parts
        )

    def place(self, part: Part) -> str:
        """The URL of a repository."""
        return urljoin(self.url.rstrip("/") + "/", part.path).rstrip("/")


_URL: Final = re.compile(r"https?://[\w.:@%~+/,=-]+")


def distribution_sources(
    distribution: Distribution, keyrings: Mapping[str, str]
) -> tuple[RpmSource, ...]:
    """The distribution's sources, with the operator's keys where these are named for its URL."""
    keys = keyring_of(distribution.url, keyrings) or distribution.keys
    if not Path(keys).is_file():
        place = shown(distribution.url)
        msg = f'The keys "{keys}", which "{place}" is verified with, do not exist'
        hint = f'Name the file of its keys in the "keyrings" of the configuration, for "{place}"'
        raise VerificationError(msg, hint=hint)
    return tuple(replace(source, keys=keys) for source in distribution.sources)


def template_sources(
    repositories: Sequence[Repository], keyrings: Mapping[str, str]
) -> tuple[RpmSource, ...]:
    """The template's repositories as sources; a signed one that no key file vouches for is refused."""
    return tuple(_source(repository, keyrings) for repository in repositories)


def _source(repository: Repository, keyrings: Mapping[str, str]) -> RpmSource:
    url = repository.url.strip().rstrip("/")
    if not _URL.fullmatch(url):
        msg = f'The repository "{repository.name}" has "{shown(url)}" as its URL, which is not one'
        raise TemplateError(msg, hint='Write it like "http://mirror.example.org/extra"')
    source = RpmSource(name=section(repository.name), url=url)
    if not repository.signed:
        return source
    keys = keyring_of(url, keyrings)
    if keys is None:
        msg = (
            f'The repository "{repository.name}" is to be signed, '
            f'and no keys are known for "{shown(url)}"'
        )
        raise VerificationError(msg, hint='Name a file in the "keyrings" of the configuration')
    return replace(source, keys=keys)


def section(name: str) -> str:
    """What a repository is called in a file of `yum.repos.d`, and the file."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
