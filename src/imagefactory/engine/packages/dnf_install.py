"""The steps that make a tree of the lock's RPM packages: the base, shared by builds, and what is added."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from imagefactory.core.errors import CommandFailed, PackageError, VerificationError
from imagefactory.core.lock import LockedPackage
from imagefactory.core.template import Repository
from imagefactory.engine.download import objects_of
from imagefactory.engine.files import write_atomically
from imagefactory.engine.objects import full_disk, room_at
from imagefactory.engine.packages.apt_guest import Counting
from imagefactory.engine.packages.apt_metadata import link_or_copy
from imagefactory.engine.packages.dnf import Manager
from imagefactory.engine.packages.dnf_sources import (
    Distribution,
    RpmSource,
    distribution_sources,
    template_sources,
)
from imagefactory.engine.packages.dnf_verify import file_name, verify
from imagefactory.engine.packages.locked import read_lock
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.sandbox import TREE, Sandbox
from imagefactory.engine.tree import Change, Tree

#: Where dnf sees the folder with the package files.
_PLACE: Final = "/mnt/files"

#: Told to zypper: the keys as above, and where all is that it may install. A script of a package that fails
#: is told and no more, as by dnf; the other answers below are for the user of a running system.
_INSTALL_BY_ZYPPER: Final = f"""
set -eu
umask 022
export HOME={_PLACE} ZYPP_LOGFILE=/dev/null
for keys in {_PLACE}/keys/*; do
    [ ! -e "$keys" ] || rpmkeys --root={TREE} --import "$keys"
done
status=0
xargs -a {_PLACE}/names zypper --root={TREE} --non-interactive --no-refresh --releasever="$1" install \
    --no-recommends --allow-unsigned-rpm --no-confirm || status=$?
rm -rf {TREE}/var/cache/zypp {TREE}/var/log/zypp {TREE}/var/log/zypper.log {TREE}/etc/zypp/repos.d/_tmpRPMcache_.repo
# xargs(1) answers 123 for a program that answered anything.
[ "$status" = 0 ] || [ "$status" = 123 ] || exit "$status"
"""

#: What dnf is told beside the command line. Nothing is asked from anywhere: packages are files.
_CONFIGURATION: Final = """\
[main]
assumeyes=1
best=1
gpgcheck=1
localpkg_gpgcheck={check}
install_weak_deps=0
ignorearch=1
plugins=0
keepcache=1
cachedir=/tmp/dnf
logdir=/tmp
reposdir=/nonexistent
skip_if_unavailable=0
"""

#: Debian's rpm keeps its database in root's home: where the guest's own rpm looks is said in a file of ours.
#: The places of kernel file systems are mounted, and not rpm's to change.
_MACROS: Final = "%_dbpath {database}\n%_install_langs all\n%_netsharedpath /dev:/proc:/run\n"

#: Arguments: the release. The keys come first, or dnf would not believe a file that it was given.
_INSTALL: Final = f"""
set -eu
umask 022
export HOME={_PLACE}
for keys in {_PLACE}/keys/*; do
    [ ! -e "$keys" ] || rpmkeys --root={TREE} --import "$keys"
done
xargs -a {_PLACE}/names dnf --config={_PLACE}/dnf.conf --installroot={TREE} --releasever="$1" install
"""

_TIDY: Final = """
rm -rf /var/cache/dnf /var/log/dnf*.log /var/log/hawkey.log /var/cache/ldconfig/aux-cache
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
"""

_FORMAT: Final = r"%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\n"
_COUNTED: Final[Mapping[Manager, re.Pattern[str]]] = {
    "dnf": re.compile(r"\s*(Installing|Upgrading|Verifying)\s*: "),
    "zypper": re.compile(r"\s*(\(\s*\d+/\d+\) Installing: |Retrieving package )"),
}
_SCRIPTS: Final[Mapping[Manager, str]] = {"dnf": _INSTALL, "zypper": _INSTALL_BY_ZYPPER}
_UNSIGNED: Final = re.compile(r"(?:Package|Public key for) (\S+?\.rpm) is not (signed|installed)")


@dataclass(frozen=True, kw_only=True)
class _Install(Step):
    distribution: Distribution
    release: str  #: `releasever`
    database: str  #: where the guest's rpm keeps its own, e.g. `/usr/lib/sysimage/rpm`
    repositories: tuple[Repository, ...] = ()
    manager: Manager = "dnf"

    def _sources(self, build: Build) -> Mapping[str, RpmSource]:
        own = distribution_sources(self.distribution, build.keyrings)
        foreign = template_sources(self.repositories, build.keyrings)
        return {source.name: source for source in (*own, *foreign)}

    def _install(self, build: Build, change: Change, packages: Sequence[LockedPackage]) -> None:
        with _gathered(build, packages, self._sources(build), database=self.database) as folder:
            log = Counting(
                build.tools.log,
                build.report,
                whole=2 * len(packages),
                percents=range(20, 95),
                counted=_COUNTED[self.manager],
            )
            tools = replace(build.tools, log=log)
            watched = replace(change, sandbox=replace(change.sandbox, tools=tools))
            try:
                watched.run_outside(
                    ["sh", "-c", _SCRIPTS[self.manager], "sh", self.release], binds={folder: _PLACE}
                )
            except CommandFailed as error:
                raise _explained(error) from error
        change.run(["sh", "-euc", _TIDY])
        _check(change, packages)


@dataclass(frozen=True, kw_only=True)
class InstallRpmBase(_Install):
    """Makes the base tree from the lock's layer `base`, or takes the one that another build made.

    dnf installs the lock's files and nothing else, each of them signed with its repository's keys.
    """

    weight = 40

    @property
    def activity(self) -> str:
        return "Installing the base system"

    def run(self, build: Build) -> None:
        lock = read_lock(build)
        content = f"{self.key} {lock.key(layers=['base'])}"
        key = hashlib.sha256(content.encode()).hexdigest()
        with Tree(build=build, layers=()).shared("base", key=key) as change:
            if change is not None:
                self._install(build, change, lock.layer("base"))


@dataclass(frozen=True, kw_only=True)
class InstallRpmPackages(_Install):
    """Installs the lock's layer `packages` in a layer of its own."""

    weight = 15

    @property
    def activity(self) -> str:
        return "Installing packages"

    def run(self, build: Build) -> None:
        packages = read_lock(build).layer("packages")
        if not packages:
            return
        build.report(0, f"Installing {len(packages)} packages")
        with Tree.load(build).change("packages") as change:
            self._install(build, change, packages)


@contextmanager
def _gathered(
    build: Build,
    packages: Sequence[LockedPackage],
    sources: Mapping[str, RpmSource],
    *,
    database: str,
) -> Iterator[Path]:
    """A folder with the package files, verified, and all that dnf is told; gone when the block ends."""
    folder = build.scratch / "packages"
    sandbox = Sandbox(state=build.state, tools=build.tools)
    sandbox.remove(folder)
    try:
        with room_at(build.state):
            for path in (folder, folder / "keys"):
                path.mkdir()
                path.chmod(0o755)
            objects = objects_of(build)
            for package in packages:
                link_or_copy(objects.path(package.sha256), folder / file_name(package))
            keys = _keys(packages, sources, folder)
            verify(sandbox, folder, packages, keys)
            signed = all(file is not None for file in keys.values())
            write_atomically(folder / "dnf.conf", _CONFIGURATION.format(check=int(signed)))
            write_atomically(folder / ".rpmmacros", _MACROS.format(database=database))
            names = "".join(f"{_PLACE}/{file_name(package)}\n" for package in packages)
            write_atomically(folder / "names", names)
        yield folder
    finally:
        sandbox.remove(folder)


def _keys(
    packages: Sequence[LockedPackage], sources: Mapping[str, RpmSource], folder: Path
) -> Mapping[str, Path | None]:
    """The file with the keys of each origin, in the folder."""
    found: dict[str, Path | None] = {}
    for number, origin in enumerate(sorted({package.origin for package in packages})):
        source = sources.get(origin)
        if source is None:
            msg = f'The lock has packages from "{origin}", which the template does not name'
            raise VerificationError(msg, hint="Lock the template anew")
        found[origin] = None
        if source.keys is not None:
            found[origin] = folder / "keys" / str(number)
            write_atomically(folder / "keys" / str(number), Path(source.keys).read_bytes())
    return found


def _check(change: Change, packages: Sequence[LockedPackage]) -> None:
    """`PackageError` unless the guest's own rpm knows exactly these, and what was there before."""
    shown = change.run(["rpm", "-qa", "--qf", _FORMAT], quiet=True)
    installed = {tuple(line.split()) for line in shown.splitlines()}
    for package in packages:
        version = package.version if ":" in package.version else f"0:{package.version}"
        if (package.name, version, package.arch) not in installed:
            msg = f'The package "{package.name}" is not installed in the version "{version}" of the lock'
            raise PackageError(msg)


def _explained(error: CommandFailed) -> Exception:
    """The failure as a sentence about a package or the disk, where the last lines tell of one."""
    if full := full_disk(error):
        return full
    if match := _UNSIGNED.search(error.tail):
        msg = f'The package "{match[1]}" is not signed by a key of its repository'
        return VerificationError(msg)
    lines = error.tail.splitlines()
    faults = ("Error", "error:", "Problem:")
    first = next((n for n, line in enumerate(lines) if line.startswith(faults)), None)
    if first is None:
        return error
    why = " ".join(line.strip() for line in lines[first : first + 2]).removeprefix("Error: ")
    return PackageError(f"The packages cannot be installed: {why}")
