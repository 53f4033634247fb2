"""The step that decides which exact packages a system of the Debian family is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from imagefactory.core.errors import RequestError, VerificationError
from imagefactory.core.lock import Lock
from imagefactory.core.template import Repository
from imagefactory.engine.mirrors import keyring_of, listed, shown
from imagefactory.engine.objects import room_at
from imagefactory.engine.packages.apt_root import apt_root
from imagefactory.engine.packages.apt_solver import MINIMAL, Found, requested_name, solve
from imagefactory.engine.packages.apt_sources import (
    ARCHITECTURES,
    Archive,
    Source,
    repository_line,
)
from imagefactory.engine.packages.locked import checked, write_lock, write_present_sources
from imagefactory.engine.plan import Build, Step


@dataclass(frozen=True, kw_only=True)
class ResolveApt(Step):
    """Asks apt for the exact set of packages, and writes the lock.

    The layer `base` comes from the distribution's archive alone, without recommendations; the layer
    `packages` is what the template's packages add to it, from the archive and the template's
    repositories. With `lock`, nothing is asked: that is the set.
    """

    weight = 4

    system: str  #: e.g. `Debian`
    version: str  #: e.g. `12`
    arch: str  #: TDL's name
    archive: Archive
    base: tuple[str, ...]  #: beside what every system has: kernel, boot loader, …
    packages: tuple[str, ...] = ()  #: the template's: `name`, `name=version` or `name/suite`
    repositories: tuple[Repository, ...] = ()  #: the template's
    recommends: bool = True  #: for the template's packages, as `apt-get install -y` has it
    lock: str | None = field(default=None, repr=False)  #: a lock's text
    epoch: int | None = (
        None  #: seconds since 1970, instead of the newest index's date or the lock's
    )

    @property
    def activity(self) -> str:
        return "Resolving packages"

    def run(self, build: Build) -> None:
        with room_at(build.state):
            lock = self._resolved(build) if self.lock is None else self._given(self.lock)
            if self.epoch is not None:
                lock = replace(lock, epoch=self.epoch)
            write_lock(build, lock)
        base, added = len(lock.layer("base")), len(lock.layer("packages"))
        build.tools.log(f"Locked {base} packages for the base, and {added} for the template")

    def _given(self, text: str) -> Lock:
        lock = checked(Lock.loads(text))
        mine, its = (self.system, self.version, self.arch), (lock.system, lock.version, lock.arch)
        if mine != its:
            msg = f'The lock is for "{" ".join(its)}", and the template for "{" ".join(mine)}"'
            raise RequestError(msg)
        return lock

    def _resolved(self, build: Build) -> Lock:
        for request in (*self.base, *self.packages):
            requested_name(request)
        architecture = ARCHITECTURES[self.arch]
        own = [_known(source, build) for source in self.archive.sources]
        foreign = repository_sources(self.repositories, build.keyrings)
        with apt_root(build, own, architecture) as root:
            base = solve(root, (*MINIMAL, *self.base), recommends=False)
            build.report(50)
            epoch = root.epoch
            write_present_sources(build, (source.name for source in root.sources))
            added: Sequence[Found] = []
            if self.packages and not foreign:
                added = solve(root, self.packages, recommends=self.recommends, installed=_all(base))
        if self.packages and foreign:
            with apt_root(build, (*own, *foreign), architecture) as root:
                epoch = max(epoch, root.epoch)
                added = solve(root, self.packages, recommends=self.recommends, installed=_all(base))
        return Lock(
            system=self.system,
            version=self.version,
            arch=self.arch,
            epoch=epoch,
            packages=(
                *(found.locked("base") for found in base),
                *(found.locked("packages") for found in added),
            ),
        )


def _known(source: Source, build: Build) -> Source:
    """A source of the distribution, as the operator knows it.

    A keyring in the configuration stands in for the usual one, and a snapshot does not expire.
    """
    keyring = source.keyring and (keyring_of(source.url, build.keyrings) or source.keyring)
    frozen = listed(source.url, dict.fromkeys(build.snapshots, ""))
    return replace(source, keyring=keyring, expires=not frozen)


def repository_sources(
    repositories: Sequence[Repository], keyrings: Mapping[str, str]
) -> tuple[Source, ...]:
    """The template's repositories as sources; a signed one that no keyring vouches for is refused."""
    return tuple(_source(repository, keyrings) for repository in repositories)


def _source(repository: Repository, keyrings: Mapping[str, str]) -> Source:
    line = repository_line(repository)
    source = Source(
        name=repository.name, url=line.url, suite=line.suite, components=line.components
    )
    if not repository.signed:
        return source
    keyring = keyring_of(line.url, keyrings)
    if keyring is None:
        msg = (
            f'The repository "{repository.name}" is to be signed, '
            f'and no keyring is known for "{shown(line.url)}"'
        )
        hint = 'Name one in the "keyrings" of the configuration'
        raise VerificationError(msg, hint=hint)
    return replace(source, keyring=keyring)


def _all(found: Sequence[Found]) -> list[Mapping[str, str]]:
    return [one.stanza for one in found]
