"""What a template's `<customize>` says of users, services and disks, as frozen values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from lxml import etree

from imagefactory.core import contents, disk_size
from imagefactory.core.contents import Content
from imagefactory.core.markup import collapse, strip
from imagefactory.core.secret import Secret

ServiceState = Literal["enabled", "disabled", "masked"]
Protocol = Literal["tcp", "udp"]
FilesystemType = Literal["ext4", "xfs", "btrfs"]


@dataclass(frozen=True, kw_only=True)
class User:
    """An account; one that the system has already is changed, any other is made with a home."""

    name: str
    password: Secret | None = None  #: None: no password opens the account
    ssh_keys: tuple[str, ...] = ()  #: lines of `authorized_keys`
    groups: tuple[str, ...] = ()  #: beside its own; made where they are missing
    shell: str | None = None  #: absolute path; None is the system's own choice
    sudo: bool = False  #: may become root without a password


@dataclass(frozen=True, kw_only=True)
class Service:
    """A unit of systemd, and whether it starts."""

    name: str  #: with its suffix
    state: ServiceState


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Ports that may be reached from outside."""

    first: int
    last: int  #: included
    protocol: Protocol = "tcp"


@dataclass(frozen=True, kw_only=True)
class Filesystem:
    """A partition with a file system of its own."""

    mount: str  #: absolute guest path
    type: FilesystemType | None = None  #: None: as the build's parameter says
    size: int | None = None  #: bytes; None only for `/`, which takes what the others leave


@dataclass(frozen=True, kw_only=True)
class Mode:
    """Who may do what with a file or folder; None leaves things as they are."""

    path: str  #: absolute guest path
    mode: int | None = None
    owner: str | None = None
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Additions:
    """All of `<customize>`."""

    hostname: str | None = None
    locale: str | None = None
    timezone: str | None = None
    users: tuple[User, ...] = ()
    services: tuple[Service, ...] = ()
    firewall: tuple[Opening, ...] | None = None  #: None: there is none; empty: nothing may come in
    filesystems: tuple[Filesystem, ...] = ()
    modes: tuple[Mode, ...] = ()
    first_boot: Content | None = None  #: a script that each machine runs once


def additions(element: etree._Element | None) -> Additions | None:
    """Read a valid `<customize>`, where there is one."""
    if element is None:
        return None
    firewall, first_boot = element.find("firewall"), element.find("first_boot")
    return Additions(
        hostname=contents.line(element, "hostname"),
        locale=contents.line(element, "locale"),
        timezone=contents.line(element, "timezone"),
        users=tuple(map(_user, element.iterfind("users/user"))),
        services=tuple(map(_service, element.iterfind("services/service"))),
        firewall=None if firewall is None else tuple(map(_opening, firewall)),
        filesystems=tuple(map(_filesystem, element.iterfind("filesystems/filesystem"))),
        modes=tuple(map(_mode, element.iterfind("modes/mode"))),
        first_boot=None if first_boot is None else contents.content(first_boot),
    )


def _user(element: etree._Element) -> User:
    password = strip(element.findtext("password"))
    return User(
        name=collapse(element.get("name")),
        password=Secret(password) if password else None,
        ssh_keys=_texts(element.iterfind("ssh_key")),
        groups=_texts(element.iterfind("group")),
        shell=contents.line(element, "shell"),
        sudo=contents.boolean(element, "sudo", default=False),
    )


def _service(element: etree._Element) -> Service:
    name = collapse(element.get("name"))
    return Service(
        name=name if "." in name else f"{name}.service",
        state=cast("ServiceState", collapse(element.get("state"))),
    )


def _opening(element: etree._Element) -> Opening:
    first, _, last = collapse(element.get("port")).partition("-")
    return Opening(
        first=int(first),
        last=int(last or first),
        protocol=cast("Protocol", collapse(element.get("protocol", "tcp"))),
    )


def _filesystem(element: etree._Element) -> Filesystem:
    size, kind = element.get("size"), element.get("type")
    return Filesystem(
        mount=collapse(element.get("mount")),
        type=None if kind is None else cast("FilesystemType", collapse(kind)),
        size=None if size is None else disk_size.parse(collapse(size)),
    )


def _mode(element: etree._Element) -> Mode:
    mode = element.get("mode")
    return Mode(
        path=collapse(element.get("path")),
        mode=None if mode is None else int(collapse(mode), 8),
        owner=collapse(element.get("owner")) or None,
        group=collapse(element.get("group")) or None,
    )


def _texts(elements: Iterable[etree._Element]) -> tuple[str, ...]:
    return tuple(collapse(element.text) for element in elements)
