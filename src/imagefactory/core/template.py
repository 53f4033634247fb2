"""What a TDL template says, as frozen values; nothing in it is resolved or fetched yet."""

import base64
from dataclasses import dataclass, field
from typing import Literal

from imagefactory.core.secret import Secret

ContentType = Literal["raw", "base64", "url"]
InstallType = Literal["url", "iso"]
ChecksumType = Literal["md5", "sha1", "sha256"]


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a file or command. Its text may hold secrets, so its repr does not show it."""

    type: ContentType = "raw"
    text: str = field(repr=False)  #: the text itself, its base64, or the URL to fetch it from

    def data(self) -> bytes:
        """The bytes; `ValueError` for a URL, which only a build can fetch."""
        match self.type:
            case "raw":
                return self.text.encode()
            case "base64":
                return base64.b64decode(self.text, validate=True)
            case "url":
                msg = "A content that lies behind a URL has no bytes before it is fetched"
                raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file to write into the guest."""

    name: str  #: absolute guest path, without `.` or `..`
    content: Content


@dataclass(frozen=True, kw_only=True)
class Command:
    """A script to run in the guest."""

    name: str  #: need not be unique
    content: Content
    position: int | None = None  #: as given; commands of a template are already in order


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package to install. All but the name is parsed and kept, and used by no installer."""

    name: str
    repository: str | None = None
    file: str | None = None
    arguments: str | None = None


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A package repository for the guest."""

    name: str
    url: str  #: for the Debian family a whole sources.list line
    signed: bool = False
    persisted: bool = True  #: stays in the finished image
    sslverify: bool = False


@dataclass(frozen=True, kw_only=True)
class Extra:
    """A file or folder to add to an installation ISO."""

    kind: Literal["directory", "file"]
    source: str  #: URL
    destination: str  #: path relative to the ISO's root


@dataclass(frozen=True, kw_only=True)
class Install:
    """Where an operating system is installed from."""

    type: InstallType
    url: str  #: of the package tree, or of the ISO
    checksum_type: ChecksumType | None = None
    checksum_url: str | None = None  #: of a checksum file, not the sum itself
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OperatingSystem:
    """Which system to build. Whether it is supported is known by the system plugins."""

    name: str  #: e.g. `Debian`
    version: str  #: e.g. `12`
    arch: str  #: i386, x86_64, ppc64, ppc64le, aarch64, armv7l or s390x
    install: Install
    kernelparam: str | None = None
    rootpw: Secret | None = None  #: None: root's password is locked
    key: Secret | None = None  #: licence key
    icicle_extra_command: str | None = None


@dataclass(frozen=True, kw_only=True)
class Template:
    """A whole template. Texts are stripped, duplicate repositories merged, commands in order."""

    name: str
    description: str | None = None
    os: OperatingSystem
    packages: tuple[Package, ...] = ()
    repositories: tuple[Repository, ...] = ()
    files: tuple[File, ...] = ()
    commands: tuple[Command, ...] = ()
    precommands: tuple[Command, ...] = ()
    disk_size: int | None = None  #: bytes
    text: str = field(repr=False)  #: the XML as given; show it only through `redacted`
