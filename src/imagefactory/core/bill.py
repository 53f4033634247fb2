"""What an image is made of: the software in it, for bills of materials of any format."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote
from uuid import UUID

Family = Literal["deb", "rpm"]

_NAMESPACE: Final = UUID("a4c8f1d2-0f0b-5d5e-8a51-6f3f6c1d9b20")
_UNESCAPED: Final = ":"  # in a package URL, beside letters, digits and "-._~"


@dataclass(frozen=True, kw_only=True)
class Supplier:
    """Who maintains a package, as it says itself."""

    name: str
    email: str | None = None
    person: bool = False  #: False: a group, a company or a project


@dataclass(frozen=True, kw_only=True)
class Licensing:
    """What a package says of its licences."""

    expression: str | None = (
        None  #: of SPDX licences and `LicenseRef-…`; None: nothing that can be read
    )
    texts: Mapping[str, str] = field(default_factory=dict)  #: of each `LicenseRef-…`


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One installed package, whatever the package manager."""

    family: Family
    name: str
    arch: str  #: as the package manager names it
    version: str  #: RPM family: version and release
    epoch: str | None = None  #: RPM family; Debian's is a part of the version
    source: str  #: what it was built from; RPM family: the name of the source package's file
    source_version: str | None = None  #: where it differs from the version
    supplier: Supplier | None = None
    homepage: str | None = None
    summary: str | None = None
    licensing: Licensing = Licensing()
    files: tuple[str, ...] = ()  #: absolute paths, folders too
    url: str | None = None  #: where its file came from, as the lock has it
    sha256: str | None = None  #: of that file

    def package_url(self, *, distribution: str, release: str) -> str:
        """The name by which others know it (Package URL specification, types `deb` and `rpm`)."""
        qualifiers = {"arch": self.arch, "distro": f"{distribution}-{release}"}
        if self.epoch is not None:
            qualifiers["epoch"] = self.epoch
        # Not of the specification, but where scanners look for the name that advisories use.
        if self.source != self.name or self.source_version is not None:
            version = f"@{self.source_version}" if self.source_version is not None else ""
            qualifiers["upstream"] = f"{self.source}{version}"
        words = "&".join(f"{name}={_quoted(value)}" for name, value in qualifiers.items())
        name = f"{_quoted(distribution)}/{_quoted(self.name)}@{_quoted(self.version)}"
        return f"pkg:{self.family}/{name}?{words}"


@dataclass(frozen=True, kw_only=True)
class Digests:
    """Of one file's content."""

    sha1: str  #: which SPDX 2.3 demands of every file
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A system and all that is in it."""

    distribution: str  #: as its `os-release` has it, e.g. `debian`
    release: str  #: e.g. `12`
    name: str  #: for people, e.g. `Debian 12 x86_64`
    key: str  #: the lock's
    epoch: int  #: seconds since 1970; nothing in the bill is younger
    tool: str  #: version of the program that wrote it
    packages: tuple[Installed, ...]
    files: Mapping[str, Digests]  #: every file of the system, by absolute path

    @property
    def id(self) -> UUID:
        """The same for the same content."""
        digest = hashlib.sha256(self.key.encode())
        for path in sorted(self.files):
            digest.update(f"\0{path}\0{self.files[path].sha256}".encode(errors="surrogateescape"))
        return uuid.uuid5(_NAMESPACE, digest.hexdigest())

    def package_url(self, package: Installed) -> str:
        """A package's URL in this system."""
        return package.package_url(distribution=self.distribution, release=self.release)


def _quoted(text: str) -> str:
    return quote(text, safe=_UNESCAPED)
