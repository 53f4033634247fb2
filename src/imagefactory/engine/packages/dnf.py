"""The step that decides which exact packages a system of the RPM family is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from imagefactory.core.errors import RequestError
from imagefactory.core.lock import Lock
from imagefactory.core.template import Repository
from imagefactory.engine.objects import room_at
from imagefactory.engine.packages.dnf_root import DnfRoot, Question, ZypperRoot, dnf_root
from imagefactory.engine.packages.dnf_sources import (
    Distribution,
    distribution_sources,
    template_sources,
)
from imagefactory.engine.packages.locked import checked, write_lock, write_present_sources
from imagefactory.engine.plan import Build, Step

Manager = Literal["dnf", "zypper"]

_ROOTS: Final[Mapping[Manager, type[DnfRoot]]] = {"dnf": DnfRoot, "zypper": ZypperRoot}


@dataclass(frozen=True, kw_only=True)
class ResolveRpm(Step):
    """Asks dnf or zypper for the exact set of packages, and writes the lock.

    The layer `base` comes from the distribution's repositories alone, without weak dependencies; the
    layer `packages` is what the template's packages add to it. With `lock`, nothing is asked.
    """

    weight = 6

    system: str  #: e.g. `Fedora`
    version: str  #: e.g. `42`
    arch: str  #: TDL's name, which is rpm's too
    distribution: Distribution
    base: tuple[str, ...]
    release: str  #: `releasever`
    platform: str  #: of modules, e.g. `platform:f42`; zypper has none
    manager: Manager = "dnf"
    packages: tuple[str, ...] = ()  #: the template's: `name`, `name-version` or `@group`
    repositories: tuple[Repository, ...] = ()  #: the template's
    lock: str | None = field(default=None, repr=False)  #: a lock's text
    epoch: int | None = None  #: seconds since 1970, instead of the newest index's date

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
        own = distribution_sources(self.distribution, build.keyrings)
        foreign = template_sources(self.repositories, build.keyrings)
        question = Question(
            base=self.base,
            packages=self.packages,
            arch=self.arch,
            release=self.release,
            platform=self.platform,
        )
        with dnf_root(build, own, foreign, kind=_ROOTS[self.manager]) as root:
            write_present_sources(build, (one.source.name for one in root.metadata))
            packages, epoch = root.choose(question), root.epoch
        return Lock(
            system=self.system,
            version=self.version,
            arch=self.arch,
            epoch=epoch,
            packages=tuple(sorted(packages)),
        )
