"""What a template must obey that no schema can say."""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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
_LAST_PORT: Final = 65535
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
    if parent is not None and (rule := _RULES.get((str(parent.tag), str(element.tag)))):
        yield from rule(element)


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


def _file(element: etree._Element) -> Iterator[str]:
    yield from _path(strip(element.get("name")))
    yield from _content(element)


def _shell(element: etree._Element) -> Iterator[str]:
    yield from _path(collapse(own_text(element)))


def _path(name: str) -> Iterator[str]:
    parts = name.split("/")
    if not name.startswith("/") or name.endswith("/") or {".", ".."} & set(parts):
        yield 'The name of a file must be an absolute path without "." or ".."'
    elif _CONTROL.search(name) or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        yield f"The name of a file has a control character or a part over {_LONGEST_NAME} bytes"


def _ports(element: etree._Element) -> Iterator[str]:
    first, _, last = collapse(element.get("port")).partition("-")
    if not int(first) <= int(last or first) <= _LAST_PORT:
        yield f"Ports end at {_LAST_PORT}, and a range begins with its lower one"


def _filesystem(element: etree._Element) -> Iterator[str]:
    mount, size = collapse(element.get("mount")), element.get("size")
    if mount == "/":
        if size is not None:
            yield 'The filesystem of "/" has no size of its own: it takes what the others leave'
        return
    yield from _path(mount)
    if size is None:
        yield 'Every filesystem but the one of "/" needs a size'
    else:
        yield from _disk_size(size)


def _mode(element: etree._Element) -> Iterator[str]:
    yield from _path(collapse(element.get("path")))
    if not {"mode", "owner", "group"} & set(element.attrib):
        yield 'Give at least one of "mode", "owner" and "group"'


def _repeated(list_: etree._Element) -> Iterator[str]:
    """Two that say something about one thing would contradict each other."""
    for name in ("name", "mount", "path"):
        given = Counter(collapse(each.get(name)) for each in list_ if name in each.attrib)
        for value, count in given.items():
            if count > 1:
                yield f'There are {count} for "{value}", and there may be one'


def _destination(element: etree._Element) -> Iterator[str]:
    path = collapse(element.get("destination"))
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
    yield from _disk_size(own_text(element))


def _disk_size(text: str) -> Iterator[str]:
    try:
        disk_size.parse(collapse(text))
    except ValueError as error:
        yield str(error)


#: by the names of an element's parent and its own
_RULES: Final[Mapping[tuple[str, str], Callable[[etree._Element], Iterator[str]]]] = {
    ("os", "rootpw"): _secret,
    ("os", "key"): _secret,
    ("repositories", "repository"): _repository,
    ("files", "file"): _file,
    ("commands", "command"): _command,
    ("precommands", "command"): _command,
    ("extras", "directory"): _destination,
    ("extras", "file"): _destination,
    ("disk", "size"): _size,
    ("customize", "users"): _repeated,
    ("customize", "services"): _repeated,
    ("customize", "filesystems"): _repeated,
    ("customize", "modes"): _repeated,
    ("customize", "first_boot"): _command,
    ("user", "password"): _secret,
    ("user", "shell"): _shell,
    ("firewall", "allow"): _ports,
    ("filesystems", "filesystem"): _filesystem,
    ("modes", "mode"): _mode,
}
