"""What a template must obey that no schema can say."""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from lxml import etree

from imagefactory.core import disk_size
from imagefactory.core.markup import collapse, own_text, strip
from imagefactory.core.schema.explain import label, line_of

LOCALHOST: Final = (
    "Repositories cannot be localhost, since they must be reachable from the guest operating system"
)
EMPTY_COMMAND: Final = "Empty commands are not allowed"
SPARSE: Final = "Cannot have duplicate or sparse command position order!"
MIXED: Final = (
    "All command elements must have a position (explicit order), "
    "or none of them may (implicit order)"
)
LONGEST_PASSWORD: Final = 256  #: bytes; what hashing programs use, and silently cut the rest

_LONGEST_NAME: Final = 255  # bytes of one part of a path, in every file system that we write
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A rule, and the element that breaks it."""

    rule: str
    line: int
    element: str  #: as people find it, e.g. `<command name="update">`

    @property
    def fault(self) -> tuple[int, str]:
        """The line, and the element with the rule."""
        return self.line, f"{self.element}: {self.rule}"


def broken_by(root: etree._Element) -> Iterator[Broken]:
    """The rules that a schema-valid document breaks."""
    for element in root.iter(etree.Element):
        for rule in _rules(element):
            yield _broken(rule, element)
        if element.tag in {"commands", "precommands"}:
            yield from _order(element)


def _broken(rule: str, element: etree._Element) -> Broken:
    return Broken(rule=rule, line=line_of(element), element=label(element))


def _rules(element: etree._Element) -> Iterator[str]:
    parent = element.getparent()
    match (None if parent is None else parent.tag), element.tag:
        case "os", ("rootpw" | "key"):
            yield from _secret(element)
        case "repositories", "repository":
            yield from _repository(element)
        case "files", "file":
            yield from _path(strip(element.get("name")))
            yield from _content(element)
        case (("commands" | "precommands"), "command"):
            yield from _command(element)
        case "extras", _:
            yield from _destination(collapse(element.get("destination")))
        case "disk", "size":
            yield from _size(element)


def _secret(element: etree._Element) -> Iterator[str]:
    text = strip(own_text(element))
    if _CONTROL.search(text) or len(text.encode()) > LONGEST_PASSWORD:
        yield f"A password or key must be one line of at most {LONGEST_PASSWORD} bytes"


def _repository(element: etree._Element) -> Iterator[str]:
    """`url` may be a whole sources.list line: every word that is a URL counts."""
    for word in collapse(element.findtext("url")).split(" "):
        try:
            host = urlsplit(word).hostname or ""
        except ValueError:
            yield "The URL of a repository cannot be understood"
            continue
        if _is_local(host.rstrip(".")):
            yield LOCALHOST


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL_NAMES


def _path(name: str) -> Iterator[str]:
    parts = name.split("/")
    if not name.startswith("/") or name.endswith("/") or {".", ".."} & set(parts):
        yield 'The name of a file must be an absolute path without "." or ".."'
    elif _CONTROL.search(name) or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        yield f"The name of a file has a control character or a part over {_LONGEST_NAME} bytes"


def _destination(path: str) -> Iterator[str]:
    if path.startswith("/") or {".", ".."} & set(path.split("/")) or _CONTROL.search(path):
        yield 'The destination must be a relative path without "." or ".."'


def _content(element: etree._Element) -> Iterator[str]:
    if element.get("type") != "base64":
        return
    try:
        base64.b64decode(own_text(element), validate=True)
    except binascii.Error:
        yield "The base64 text is cut off or damaged"


def _command(element: etree._Element) -> Iterator[str]:
    if not strip(own_text(element)):
        yield EMPTY_COMMAND
    yield from _content(element)


def _order(commands: etree._Element) -> Iterator[Broken]:
    """Positions are given to all commands of a list or to none; then they are 1, 2, 3 …, in any order."""
    given = Counter(int(position) for each in commands if (position := each.get("position")))
    for command in commands:
        position = command.get("position")
        if position is None and given:
            yield _broken(MIXED, command)
        elif given.total() < len(commands):
            continue
        elif position and (given[int(position)] > 1 or not 1 <= int(position) <= len(commands)):
            yield _broken(SPARSE, command)


def _size(element: etree._Element) -> Iterator[str]:
    try:
        disk_size.parse(collapse(own_text(element)))
    except ValueError as error:
        yield str(error)
