"""Bills of material: what is installed in a tree, read from its package database without booting it."""

from dataclasses import dataclass
from typing import Final

from imagefactory.core.errors import BuildError
from imagefactory.core.icicle import DISABLED, Icicle, InstalledPackage, render, with_extras
from imagefactory.engine.bills import write_bills
from imagefactory.engine.files import write_atomically
from imagefactory.engine.inventory import write_inventory
from imagefactory.engine.packages import rpm_installed
from imagefactory.engine.packages.deb822 import Stanza, stanzas
from imagefactory.engine.packages.dpkg_installed import read_installed
from imagefactory.engine.packages.locked import read_lock
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.threads import Turns
from imagefactory.engine.tree import Tree

NAME: Final = "icicle.xml"
_STATUS: Final = "/var/lib/dpkg/status"
_TURNS: Final = Turns()


@dataclass(frozen=True, kw_only=True, order=True)
class DebianPackage:
    """One entry of dpkg's database (dpkg-query(1))."""

    name: str
    arch: str
    version: str
    selection: str  #: what is wanted: `install`, `hold`, `deinstall` or `purge`
    state: str  #: what is: `installed`, `config-files`, …


def read_status(text: str) -> tuple[DebianPackage, ...]:
    """The packages in dpkg's status file, in the order in which dpkg lists them."""
    return tuple(sorted(filter(None, map(_package, stanzas(text)))))


def _package(stanza: Stanza) -> DebianPackage | None:
    match stanza.get("Status", "").split():
        case [selection, _, state] if "Package" in stanza:
            return DebianPackage(
                name=stanza["Package"],
                arch=stanza.get("Architecture", ""),
                version=stanza.get("Version", ""),
                selection=selection,
                state=state,
            )
        case _:
            return None


@dataclass(frozen=True, kw_only=True)
class DescribePackages(Step):
    """Writes what is in a Debian family tree into the artifacts: ICICLE, SPDX, CycloneDX, inventory.

    The packages of the ICICLE are the names that `dpkg --get-selections` shows as `install`. The lines that the
    template's `extra_command` prints inside the tree are attached in the same order.
    """

    weight = 1
    writes = False

    description: str | None = None  #: the template's
    extra_command: str | None = None
    enabled: bool = True  #: parameter `generate_icicle`

    @property
    def activity(self) -> str:
        return "Listing packages"

    def run(self, build: Build) -> None:
        text = self._icicle(build) if self.enabled else DISABLED
        write_atomically(build.artifacts / NAME, text)
        lock = read_lock(build)
        with _TURNS.wait(check=build.tools.cancellation.check):
            packages = read_installed(Tree.load(build), lock)
            write_bills(build, packages, lock=lock, files=write_inventory(build))

    def _icicle(self, build: Build) -> str:
        tree = Tree.load(build)
        status = tree.read(_STATUS)
        if status is None:
            msg = f'The tree has no package database at "{_STATUS}"'
            raise BuildError(msg)
        known = read_status(status.decode())
        names = [package.name for package in known if package.selection == "install"]
        packages = tuple(InstalledPackage(name=name) for name in names)
        if self.extra_command is not None:
            output = tree.run(["sh", "-c", self.extra_command], quiet=True)
            packages = with_extras(names, output)
        return render(Icicle(description=self.description, packages=packages))


@dataclass(frozen=True, kw_only=True)
class DescribeRpmPackages(Step):
    """Writes what is in an RPM family tree into the artifacts: ICICLE, SPDX, CycloneDX, inventory.

    The packages of the ICICLE are the lines of `rpm -qa`, which the guest's own rpm prints. The lines of the
    template's `extra_command` are attached in the same order.
    """

    weight = 1

    description: str | None = None  #: the template's
    extra_command: str | None = None
    enabled: bool = True  #: parameter `generate_icicle`

    @property
    def activity(self) -> str:
        return "Listing packages"

    def run(self, build: Build) -> None:
        text = self._icicle(build) if self.enabled else DISABLED
        write_atomically(build.artifacts / NAME, text)
        lock = read_lock(build)
        with _TURNS.wait(check=build.tools.cancellation.check):
            packages = rpm_installed.read_installed(Tree.load(build), lock)
            write_bills(build, packages, lock=lock, files=write_inventory(build))

    def _icicle(self, build: Build) -> str:
        tree = Tree.load(build)
        names = tree.run(["rpm", "-qa"], quiet=True).splitlines()
        packages = tuple(InstalledPackage(name=name) for name in names)
        if self.extra_command is not None:
            output = tree.run(["sh", "-c", self.extra_command], quiet=True)
            packages = with_extras(names, output)
        return render(Icicle(description=self.description, packages=packages))
