"""What goes into a guest beside its system, as frozen values read from valid TDL elements."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeVar, cast

from lxml import etree

from imagefactory.core.markup import collapse, own_text, strip

ContentType = Literal["raw", "base64", "url"]


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


_Named = TypeVar("_Named", bound=File | Package | Repository)


def merged(first: Iterable[_Named], second: Iterable[_Named]) -> tuple[_Named, ...]:
    """Both, in order; a later one takes the place of an earlier one of the same name."""
    by_name: dict[str, _Named] = {}
    for item in (*first, *second):
        by_name[item.name] = item
    return tuple(by_name.values())


def packages(elements: Iterable[etree._Element]) -> tuple[Package, ...]:
    """Read `<package>` elements."""
    return tuple(
        Package(
            name=collapse(element.get("name")),
            repository=line(element, "repository"),
            file=line(element, "file"),
            arguments=line(element, "arguments"),
        )
        for element in elements
    )


def repositories(elements: Iterable[etree._Element]) -> tuple[Repository, ...]:
    """Read `<repository>` elements."""
    read = (
        Repository(
            name=collapse(element.get("name")),
            url=collapse(element.findtext("url")),
            signed=boolean(element, "signed", default=False),
            persisted=boolean(element, "persisted", default=True),
            sslverify=boolean(element, "sslverify", default=False),
        )
        for element in elements
    )
    return merged((), read)


def files(elements: Iterable[etree._Element]) -> tuple[File, ...]:
    """Read `<file>` elements."""
    return tuple(
        File(name=strip(element.get("name")), content=content(element)) for element in elements
    )


def commands(elements: Iterable[etree._Element]) -> tuple[Command, ...]:
    """Read the `<command>` elements of one list, into the order in which they are to run."""
    read = (
        Command(
            name=collapse(element.get("name")),
            content=content(element),
            position=None if (position := element.get("position")) is None else int(position),
        )
        for element in elements
    )
    return tuple(sorted(read, key=lambda command: command.position or 0))


def line(element: etree._Element, name: str) -> str | None:
    """The text of a child, on one line; None where it is missing or empty."""
    return collapse(element.findtext(name)) or None


def content(element: etree._Element) -> Content:
    """Read the content of an element and its `type`."""
    kind = cast("ContentType", collapse(element.get("type", "raw")))
    text = own_text(element)
    return Content(type=kind, text=collapse(text) if kind == "url" else strip(text))


def boolean(element: etree._Element, name: str, *, default: bool) -> bool:
    """Whether a child says yes."""
    text = line(element, name)
    return default if text is None else text.lower() in {"true", "yes"}
