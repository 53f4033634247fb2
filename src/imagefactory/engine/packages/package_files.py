"""Gathers a layer's package files into a folder that the guest's own apt installs from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.errors import BuildError
from imagefactory.core.lock import LockedPackage
from imagefactory.engine.download import objects_of
from imagefactory.engine.files import write_atomically
from imagefactory.engine.objects import room_at
from imagefactory.engine.packages.apt_metadata import link_or_copy
from imagefactory.engine.packages.deb import ControlFile, age, control_files
from imagefactory.engine.packages.deb822 import Stanza, dumps, stanzas
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox

#: Where the guest sees the folder.
PLACE: Final = "/run/imagefactory"

#: Every file's digest was checked when it was fetched, which is why apt may trust the folder. What
#: apt notes down goes to a file system in memory: nothing of the installation stays in the image.
_CONFIGURATION: Final = f"""\
Dir::Etc::sourcelist "{PLACE}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "/tmp/apt/lists";
Dir::Cache "/tmp/apt/cache";
Dir::Log "/tmp/apt/log";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
Acquire::Languages "none";
DPkg::Options {{ "--force-unsafe-io"; "--force-confdef"; "--force-confold"; }};
DPkg::Use-Pty "false";
"""


#: Scripts of packages ask ischroot(1) whether they run on the system that they change, which they do not: there
#: would be an init to tell, and a second to wait for it. It knows chroots alone, and this is a namespace.
PROGRAMS: Final = f"{PLACE}/bin"
_ISCHROOT: Final = "#!/bin/sh\nexit 0\n"


@dataclass(frozen=True, kw_only=True)
class PackageFiles:
    """A folder with package files, an index of them, and the configuration of the apt that reads it."""

    folder: Path
    stanzas: tuple[Stanza, ...]  #: of the index, in its order
    controls: Mapping[str, Mapping[str, ControlFile]]  #: package -> its control files, by name
    built: int  #: seconds since 1970: what counts as the present when they are installed

    def stanza(self, name: str) -> Stanza:
        """The index's entry for a package."""
        return next(stanza for stanza in self.stanzas if stanza["Package"] == name)

    def path(self, stanza: Stanza) -> str:
        """Where the guest sees the file of a package."""
        return f"{PLACE}/{stanza['Filename']}"


def gather(
    build: Build,
    packages: Sequence[LockedPackage],
    folder: Path,
    *,
    built: int,
) -> PackageFiles:
    """Make the folder anew, for packages whose files are all fetched."""
    with room_at(build.state):
        return _gather(build, packages, folder, built)


def youngest(build: Build, packages: Sequence[LockedPackage], *, epoch: int) -> int:
    """When the last of these packages was built, or `epoch` if that is earlier; seconds since 1970."""
    objects = objects_of(build)
    return min(max((age(objects.path(one.sha256)) for one in packages), default=epoch), epoch)


def _gather(
    build: Build,
    packages: Sequence[LockedPackage],
    folder: Path,
    built: int,
) -> PackageFiles:
    sandbox = Sandbox(state=build.state, tools=build.tools)
    sandbox.remove(folder)
    (folder / "pool").mkdir(parents=True)
    for path in (folder, folder / "pool"):
        path.chmod(0o755)
    objects = objects_of(build)
    names = [_file_name(package) for package in packages]
    for package, name in zip(packages, names, strict=True):
        link_or_copy(objects.path(package.sha256), folder / name)
    controls = {
        package.name: control_files(folder / name)
        for package, name in zip(packages, names, strict=True)
    }
    index = tuple(
        _stanza(package, name, controls[package.name].get("control"))
        for package, name in zip(packages, names, strict=True)
    )
    write_atomically(folder / "Packages", "".join(map(dumps, index)))
    write_atomically(folder / "sources.list", f"deb [trusted=yes] file:{PLACE} ./\n")
    write_atomically(folder / "apt.conf", _CONFIGURATION)
    write_atomically(folder / "bin" / "ischroot", _ISCHROOT, mode=0o755)
    (folder / "bin").chmod(0o755)
    return PackageFiles(folder=folder, stanzas=index, controls=controls, built=built)


def _file_name(package: LockedPackage) -> str:
    version = package.version.replace(":", "%3a")
    return f"pool/{package.name}_{version}_{package.arch}.deb"


def _stanza(package: LockedPackage, name: str, file: ControlFile | None) -> Stanza:
    text = file.data.decode(errors="replace") if file else ""
    control: Stanza = next(stanzas(text), {})
    is_what = tuple(control.get(field) for field in ("Package", "Version", "Architecture"))
    if is_what != (package.name, package.version, package.arch):
        msg = f'The file from "{package.url}" is not the package "{package.name}" of the lock'
        raise BuildError(msg)
    return {**control, "Filename": name, "Size": str(package.size), "SHA256": package.sha256}
