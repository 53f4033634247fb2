"""The steps that make a tree of the lock's packages: the base, shared by builds, and what is added."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from imagefactory.core.errors import CommandFailed, PackageError
from imagefactory.core.lock import Lock, LockedPackage
from imagefactory.engine.layers import ROOT_MODE
from imagefactory.engine.packages.apt_guest import Guest, explained
from imagefactory.engine.packages.apt_solver import requested_name
from imagefactory.engine.packages.deb822 import Stanza
from imagefactory.engine.packages.dependencies import asked_for, closure
from imagefactory.engine.packages.locked import read_lock
from imagefactory.engine.packages.package_files import PackageFiles, gather, youngest
from imagefactory.engine.packages.parallel import ParallelInstall
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Change, Tree

#: Paths of packages come on standard input. `dpkg-deb -x` would replace the links of the merged /usr.
_EXTRACT: Final = """
for name in bin sbin lib lib64; do mkdir -p "usr/$name"; ln -s "usr/$name" "$name"; done
while read -r deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --numeric-owner --same-permissions --keep-directory-symlink
done
mkdir -p var/lib/dpkg/info var/lib/dpkg/updates var/lib/dpkg/triggers
: > var/lib/dpkg/status
: > var/lib/dpkg/available
"""


@dataclass(frozen=True, kw_only=True)
class InstallBase(Step):
    """Makes the base tree from the lock's layer `base`, or takes the one that another build made.

    The guest's own dpkg sets up what was unpacked side by side; or, without `parallel`, the essential
    packages and apt are unpacked, installed by their own dpkg, and the rest by their own apt from a
    folder that holds the lock's files and nothing else.
    """

    weight = 40

    packages: tuple[str, ...]  #: the system's list; all others count as installed automatically
    parallel: bool = False  #: for a release of which a test shows that both ways give the same tree

    @property
    def activity(self) -> str:
        return "Installing the base system"

    def run(self, build: Build) -> None:
        lock = read_lock(build)
        Tree.load(build).sandbox.check(build.scratch)
        packages = lock.layer("base")
        present = youngest(build, packages, epoch=lock.epoch)
        content = f"{self.key} {present} {lock.key(layers=['base'])}"
        key = hashlib.sha256(content.encode()).hexdigest()
        empty = Tree(build=build, layers=())
        if self.parallel:
            with empty.shared("unpacked", key=key, dated=False) as change:
                if change is not None:
                    with _installing(build, change, packages, present) as guest:
                        watched = guest.watched(packages=len(packages), percents=range(10, 30))
                        ParallelInstall(guest=watched, tree=change.upper).unpack()
        below = Tree.load(build).below("base") if self.parallel else empty
        with below.shared("base", key=key, dated=False) as change:
            if change is not None:
                with _installing(build, change, packages, present) as guest:
                    self._make(guest, packages)

    def _make(self, guest: Guest, packages: Sequence[LockedPackage]) -> None:
        build = guest.build
        watched = guest.watched(packages=len(packages), percents=range(30, 75))
        if self.parallel:
            set_up = ParallelInstall(guest=watched, tree=guest.change.upper).finish
            guest.adopt_initramfs(_beside(guest, set_up))
        else:
            _bootstrap(watched, guest.change.upper)
            watched.install(packages)
            build.report(75, "Making the initramfs")
            guest.make_initramfs()
            guest.adopt_initramfs()
        guest.mark(packages, manual=asked_for(guest.files.stanzas, ("apt", *self.packages)))
        build.report(95, "Checking the base system")
        guest.tidy()
        if unwanted := guest.check(packages):
            msg = f'The package "{min(unwanted)}" is installed, and not in the lock'
            raise PackageError(msg)


def _beside(guest: Guest, set_up: Callable[[], None]) -> Path:
    """Set up packages, and have the initramfs made of what they bring at the same time; its layer.

    It is made of files that no package changes when it is set up, of which a test makes sure.
    """
    change = guest.change
    sandbox, folder = change.sandbox, change.work.with_name("initramfs")
    upper, work = folder / "tree", folder / "work"
    for own in (folder, work):
        sandbox.own(own)
    sandbox.own(upper, mode=ROOT_MODE)
    aside = replace(guest, change=replace(change, upper=upper, work=work))
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(aside.make_initramfs)
        set_up()
        made.result()
    return upper


@contextmanager
def _installing(
    build: Build, change: Change, packages: Sequence[LockedPackage], present: int
) -> Iterator[Guest]:
    build.report(10, f"Installing {len(packages)} packages of the base system")
    with _gathered(build, packages, present) as files:
        yield Guest(build=build, change=change, files=files, initramfs_later=True)


@dataclass(frozen=True, kw_only=True)
class InstallPackages(Step):
    """Installs the lock's layer `packages` in a layer of its own, with the guest's own apt."""

    weight = 15

    packages: tuple[str, ...]  #: the template's, as in `ResolveApt`

    @property
    def activity(self) -> str:
        return "Installing packages"

    def run(self, build: Build) -> None:
        lock = read_lock(build)
        packages = lock.layer("packages")
        if not packages and not self.packages:
            return
        build.report(0, f"Installing {len(packages)} packages")
        present = youngest(build, lock.packages, epoch=lock.epoch)
        content = f"{self.key} {present} {lock.key()}"
        key = hashlib.sha256(content.encode()).hexdigest()
        with Tree.load(build).shared("packages", key=key, dated=False) as change:
            if change is None:
                return
            with _gathered(build, packages, present) as files:
                self._install(build, change, files, lock)

    def _install(self, build: Build, change: Change, files: PackageFiles, lock: Lock) -> None:
        packages, base = lock.layer("packages"), lock.layer("base")
        guest = Guest(build=build, change=change, files=files)
        names = {requested_name(request) for request in self.packages}
        manual = asked_for(files.stanzas, names) | (names & {package.name for package in base})
        guest.watched(packages=len(packages), percents=range(85)).install(packages)
        guest.mark(packages, manual=manual)
        guest.tidy()
        guest.check(packages)
        guest.demand(names)


@contextmanager
def _gathered(
    build: Build, packages: Sequence[LockedPackage], present: int
) -> Iterator[PackageFiles]:
    """The package files in a folder, which is gone when the block ends."""
    folder = build.scratch / "packages"
    try:
        yield gather(build, packages, folder, built=present)
    finally:
        Sandbox(state=build.state, tools=build.tools).remove(folder)


def _essential(stanzas: Sequence[Stanza]) -> list[Stanza]:
    """The packages without which apt does not run."""
    names = [stanza["Package"] for stanza in stanzas if stanza.get("Essential") == "yes"]
    return closure(stanzas, [*names, "apt"])


def _bootstrap(guest: Guest, tree: Path) -> None:
    """Make the tree one in which apt runs."""
    files = guest.files
    essential = _essential(files.stanzas)
    folder = os.path.relpath(files.folder, tree)
    paths = "".join(f"{folder}/{stanza['Filename']}\n" for stanza in essential)
    try:
        guest.change.sandbox.host(["sh", "-euc", _EXTRACT], cwd=tree, stdin=paths.encode())
    except CommandFailed as error:
        raise explained(error) from error
    guest.bootstrap(essential)
