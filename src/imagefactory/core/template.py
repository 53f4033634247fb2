"""What a TDL template says, as frozen values; nothing in it is resolved or fetched yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast

from lxml import etree

from imagefactory.core import contents, disk_size, markup, rules, schema
from imagefactory.core.additions import Additions, additions
from imagefactory.core.contents import Command, Content, File, Package, Repository
from imagefactory.core.errors import TemplateError
from imagefactory.core.markup import collapse, strip
from imagefactory.core.secret import Secret

InstallType = Literal["url", "iso"]
ChecksumType = Literal["md5", "sha1", "sha256"]

NOT_TDL: Final = "Template is not a TDL document"
#: where the system of a disk that was made elsewhere comes from, in the template that it is given
NOWHERE: Final = "http://foo.com/imported/image/do/not/use/url"

_HINT: Final = "Give the template's text itself, not a path, a URL or an id"
_MOST_TOLD: Final = 20  # faults in one message; all of them are in `faults`

__all__ = [
    "NOT_TDL",
    "NOWHERE",
    "Additions",
    "Command",
    "Content",
    "Extra",
    "File",
    "Install",
    "OperatingSystem",
    "Package",
    "Repository",
    "Template",
    "check",
    "merge_packages",
    "merge_repositories",
    "parse",
    "parse_packages",
    "parse_repositories",
    "require_root_password",
]


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
    additions: Additions | None = None  #: what `<customize>` says
    text: str = field(repr=False)  #: the XML as given; show it only through `redacted`


_CUSTOMIZATIONS: Final = frozenset({"repositories", "packages", "files", "commands"})
_ANY_SYSTEM: Final = (
    f"<template><name>utility</name><os><name>Linux</name><version>0</version><arch>x86_64</arch>"
    f'<install type="url"><url>{NOWHERE}</url></install></os></template>'
)


def parse(document: str | bytes) -> Template:
    """Read a template, as text or as a file's bytes. `TemplateError` tells every fault with its line."""
    root = _read(document)
    return _template(root, text=_text_of(document, root))


def check(document: str | bytes) -> tuple[tuple[int, str], ...]:
    """The faults of a template, `(line, message)` each; empty when it is valid."""
    try:
        parse(document)
    except TemplateError as error:
        return error.faults
    return ()


def require_root_password(template: Template) -> None:
    """`TemplateError` unless the template has a root password (`tdl_require_root_pw`)."""
    if template.os.rootpw is None:
        msg = "Failed to find root/Administrator password in TDL"
        raise TemplateError(msg, hint="Add <rootpw> to <os>", faults=((1, msg),))


def parse_customizations(document: str | bytes) -> Template:
    """Read a template that need not say of which system: only what is put into a guest is kept."""
    try:
        given = markup.read(document)
    except markup.Malformed as error:
        msg = f"Template cannot be read at line {error.line}: {error}"
        raise TemplateError(msg, faults=[(error.line, str(error))]) from error
    whole = markup.read(_ANY_SYSTEM)
    whole.extend(child for child in given if child.tag in _CUSTOMIZATIONS)
    return parse(etree.tostring(whole, encoding="unicode"))


def parse_packages(document: str | bytes) -> tuple[Package, ...]:
    """Read a document whose root is `<packages>`."""
    return contents.packages(_read(document, "packages").iterfind("package"))


def parse_repositories(document: str | bytes) -> tuple[Repository, ...]:
    """Read a document whose root is `<repositories>`."""
    return contents.repositories(_read(document, "repositories").iterfind("repository"))


def merge_packages(template: Template, packages: Iterable[Package]) -> Template:
    """The template with more packages; one of a name that is there already takes its place."""
    return replace(template, packages=contents.merged(template.packages, packages))


def merge_repositories(template: Template, repositories: Iterable[Repository]) -> Template:
    """The template with more repositories; one of a name that is there already takes its place."""
    return replace(template, repositories=contents.merged(template.repositories, repositories))


def _read(document: str | bytes, name: str = "template") -> etree._Element:
    """The root, whose name is to be `name`, of a document without fault."""
    try:
        root = markup.read(document)
    except markup.Malformed as error:
        faults = [(error.line, str(error))]
        if not error.is_xml:
            raise TemplateError(NOT_TDL, hint=_HINT, faults=faults) from error
        msg = f"Template cannot be read at line {error.line}: {error}"
        raise TemplateError(msg, faults=faults) from error
    if faults := list(schema.faults(root, start=name)):
        raise _invalid(faults, is_tdl=root.tag == name)
    if broken := list(rules.broken_by(root)):
        first = broken[0]
        hint = f"See line {first.line}, {first.element}"
        raise TemplateError(first.rule, hint=hint, faults=[rule.fault for rule in broken])
    return root


def _invalid(faults: Sequence[tuple[int, str]], *, is_tdl: bool) -> TemplateError:
    if not is_tdl:
        return TemplateError(NOT_TDL, hint=faults[0][1], faults=faults)
    told = [f"\tline {line}: {message}" for line, message in faults[:_MOST_TOLD]]
    if len(faults) > _MOST_TOLD:
        told.append(f"\tand {len(faults) - _MOST_TOLD} more")
    brief = "\n".join(["", "XML schema validation failed:", *told])
    return TemplateError(brief, faults=faults)


def _text_of(document: str | bytes, root: etree._Element) -> str:
    """A document as text; the parser has read it already, so its encoding is known and right."""
    if isinstance(document, str):
        return document
    try:
        return document.decode(root.getroottree().docinfo.encoding or "utf-8")
    except (LookupError, UnicodeError):
        return etree.tostring(root, encoding="unicode")


def _template(root: etree._Element, *, text: str) -> Template:
    size = root.findtext("disk/size")
    return Template(
        name=collapse(root.findtext("name")),
        description=strip(root.findtext("description")) or None,
        os=_os(_child(root, "os")),
        packages=contents.packages(root.iterfind("packages/package")),
        repositories=contents.repositories(root.iterfind("repositories/repository")),
        files=contents.files(root.iterfind("files/file")),
        commands=contents.commands(root.iterfind("commands/command")),
        precommands=contents.commands(root.iterfind("precommands/command")),
        disk_size=None if size is None else disk_size.parse(collapse(size)),
        additions=additions(root.find("customize")),
        text=text,
    )


def _os(element: etree._Element) -> OperatingSystem:
    return OperatingSystem(
        name=collapse(element.findtext("name")),
        version=collapse(element.findtext("version")),
        arch=collapse(element.findtext("arch")),
        install=_install(_child(element, "install")),
        kernelparam=contents.line(element, "kernelparam"),
        rootpw=_secret(element, "rootpw"),
        key=_secret(element, "key"),
        icicle_extra_command=strip(element.findtext("icicle/extra_command")) or None,
    )


def _install(element: etree._Element) -> Install:
    kind = cast("InstallType", collapse(element.get("type")))
    sums: tuple[ChecksumType, ...] = ("md5", "sha1", "sha256")
    found = [(type_, url) for type_ in sums if (url := contents.line(element, f"{type_}sum"))]
    checksum_type, checksum_url = found[0] if found else (None, None)
    return Install(
        type=kind,
        url=collapse(element.findtext(kind)),
        checksum_type=checksum_type,
        checksum_url=checksum_url,
        extras=tuple(
            Extra(
                kind=cast('Literal["directory", "file"]', extra.tag),
                source=collapse(extra.get("source")),
                destination=collapse(extra.get("destination")),
            )
            for extra in element.iterfind("extras/*")
        ),
    )


def _child(element: etree._Element, name: str) -> etree._Element:
    """A child that the schema demands."""
    return next(element.iterchildren(name))


def _secret(element: etree._Element, name: str) -> Secret | None:
    text = strip(element.findtext(name))
    return Secret(text) if text else None
