"""ICICLE: the list of an image's packages, as its users have read it since Oz."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from imagefactory.core import markup
from imagefactory.core.errors import BuildError, RequestError
from imagefactory.core.markup import collapse, strip

#: of an image that was built with `generate_icicle` off; not null, because Koji parses it
DISABLED: Final = "<icicle></icicle>"


@dataclass(frozen=True, kw_only=True)
class InstalledPackage:
    """One package of an image."""

    name: str  #: Debian family: the name; RPM family: name-version-release.arch
    extra: str | None = None  #: the line that the template's `extra_command` printed for it


@dataclass(frozen=True, kw_only=True)
class Icicle:
    """The packages of an image, in the order of its package manager."""

    description: str | None = None  #: the template's
    packages: tuple[InstalledPackage, ...] = ()


def with_extras(names: Sequence[str], output: str) -> tuple[InstalledPackage, ...]:
    """Pair packages with the lines of an `extra_command`. `BuildError` unless there are as many."""
    lines = output.splitlines()
    if len(lines) != len(names):
        msg = "Invalid extra package command; it must return the same set of packages as 'rpm -qa'"
        hint = f"It printed {len(lines)} lines, and {len(names)} packages are installed"
        raise BuildError(msg, hint=hint)
    pairs = zip(names, lines, strict=True)
    return tuple(InstalledPackage(name=name, extra=line) for name, line in pairs)


def render(icicle: Icicle) -> str:
    """The XML: indented, without a declaration, ending with a line break."""
    root = etree.Element("icicle")
    if icicle.description is not None:
        etree.SubElement(root, "description").text = _printable(icicle.description)
    packages = etree.SubElement(root, "packages")
    for package in icicle.packages:
        element = etree.SubElement(packages, "package", name=_printable(package.name))
        if package.extra is not None:
            etree.SubElement(element, "extra").text = _printable(package.extra)
    return etree.tostring(root, encoding="unicode", pretty_print=True)


def parse(text: str) -> Icicle:
    """Read an ICICLE, the disabled one too. `RequestError` when it is something else."""
    try:
        root = markup.read(text)
    except markup.Malformed as error:
        msg = f"The ICICLE cannot be read at line {error.line}: {error}"
        raise RequestError(msg) from error
    if root.tag != "icicle":
        msg = f'The ICICLE begins with "{root.tag!s}", not "icicle"'
        raise RequestError(msg)
    return Icicle(
        description=strip(root.findtext("description")) or None,
        packages=tuple(_package(element) for element in root.iterfind("packages/package")),
    )


def _package(element: etree._Element) -> InstalledPackage:
    extra = element.find("extra")
    return InstalledPackage(
        name=collapse(element.get("name")), extra=None if extra is None else extra.text or ""
    )


def _printable(text: str) -> str:
    """A text without what XML cannot hold: a guest's command may print anything."""
    return "".join(sign if sign in "\t\n" or sign.isprintable() else "\ufffd" for sign in text)
