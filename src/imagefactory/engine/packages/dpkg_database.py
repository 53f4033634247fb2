"""What dpkg notes down when it unpacks packages, written without it (dpkg's doc/spec/triggers.txt)."""

import io
import tarfile
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from imagefactory.engine.packages.deb import ControlFile
from imagefactory.engine.packages.deb822 import Stanza, dumps, stanzas

FOLDER: Final = "/var/lib/dpkg"

#: All members that dpkg 1.20 to 1.23 only keeps, or whose meaning is known here (deb(5)).
_KNOWN: Final = frozenset(
    {"control", "md5sums", "conffiles", "triggers", "shlibs", "symbols", "config", "templates"}
    | {"preinst", "postinst", "prerm", "postrm"}
)
_INTERESTS: Final = {"interest": "", "interest-await": "", "interest-noawait": "/noawait"}
_ACTIVATIONS: Final = frozenset({"activate", "activate-await", "activate-noawait"})


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """A package that is about to be, or has been, unpacked."""

    stanza: Stanza  #: its control file's
    files: Mapping[str, ControlFile]  #: of its control archive

    @classmethod
    def of(cls, files: Mapping[str, ControlFile]) -> Self:
        """Read from the files of a package's control archive."""
        text = files["control"].data.decode(errors="replace")
        return cls(stanza=next(stanzas(text)), files=files)

    @property
    def name(self) -> str:
        """As the lock has it."""
        return self.stanza["Package"]

    @property
    def stem(self) -> str:
        """What dpkg calls the package's own files."""
        several = self.stanza.get("Multi-Arch") == "same"
        return f"{self.name}:{self.stanza['Architecture']}" if several else self.name

    @property
    def conffiles(self) -> list[str]:
        """Paths of its configuration files, which dpkg asks about when they have changed."""
        return self._lines("conffiles")

    @property
    def triggers(self) -> list[tuple[str, str]]:
        """Directive and name of each trigger that it waits for or pulls (deb-triggers(5))."""
        words = [line.partition("#")[0].split() for line in self._lines("triggers")]
        return [(pair[0], pair[1]) for pair in words if pair]

    @property
    def plain(self) -> bool:
        """Whether there is nothing in it that only dpkg knows how to unpack."""
        return (
            self.files.keys() <= _KNOWN
            and "md5sums" in self.files  # which dpkg would have to make
            and all(path.startswith("/") for path in self.conffiles)
            and all(kind in _INTERESTS or kind in _ACTIVATIONS for kind, _ in self.triggers)
        )

    def _lines(self, name: str) -> list[str]:
        if name not in self.files:
            return []
        lines = self.files[name].data.decode(errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def listing(unpacked: str) -> str:
    """A package's `.list`, from what `tar --verbose` wrote when it unpacked `./`, `./etc/` and so on."""
    paths = (line.removeprefix(".").rstrip("/") or "/." for line in unpacked.splitlines())
    return "".join(f"{path}\n" for path in paths)


def status(package: Unpacked, digests: Mapping[str, str]) -> str:
    """The stanza of an unpacked package. `digests` has the MD5 of each configuration file, by path."""
    stanza = {**package.stanza, "Status": "install ok unpacked"}
    if package.conffiles:
        lines = [f"{path} {digests[path]}" for path in package.conffiles]
        stanza["Conffiles"] = "\n".join(["", *lines])
    return dumps(stanza)


def interests(packages: Sequence[Unpacked]) -> Mapping[str, str]:
    """The files below `triggers` that say which package waits for what."""
    on_files, on_names = "", defaultdict[str, str](str)
    for package in packages:
        for kind, name in package.triggers:
            if kind in _INTERESTS:
                waiting = package.stem + _INTERESTS[kind]
                if name.startswith("/"):
                    on_files += f"{name} {waiting}\n"
                else:
                    on_names[name] += f"{waiting}\n"
    return {"File": on_files, **on_names}


def pulled(waiting: Sequence[Unpacked], paths: Collection[str]) -> str:
    """The triggers that new paths pull for packages that wait, as `Unincorp` has them."""
    places = {
        name
        for package in waiting
        for kind, name in package.triggers
        if kind in _INTERESTS and name.startswith("/")
    }
    found = (
        place
        for place in sorted(places)
        if place in paths or any(path.startswith(f"{place}/") for path in paths)
    )
    return "".join(f"{place} -\n" for place in found)


def diverted(text: str) -> list[tuple[str, str, str]]:
    """Path, other path and package of each line triple in dpkg's `diversions`."""
    lines = text.splitlines()
    return list(zip(lines[::3], lines[1::3], lines[2::3], strict=True))


def archive(files: Mapping[str, ControlFile]) -> bytes:
    """A tar archive of root's files, by path."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, file in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode, member.mtime = len(file.data), file.mode, file.time
            tar.addfile(member, io.BytesIO(file.data))
    return packed.getvalue()
