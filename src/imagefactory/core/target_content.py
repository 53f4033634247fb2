"""What an operator adds to target images: the text of a `target_content.xml` as frozen values."""

from dataclasses import dataclass
from typing import Final

from lxml import etree

from imagefactory.core import markup
from imagefactory.core.contents import Package, Repository
from imagefactory.core.errors import ConfigError, TemplateError
from imagefactory.core.template import Template, parse_packages, parse_repositories

_ROOT: Final = "template_includes"
_INCLUDE: Final = "include"
_ATTRIBUTES: Final = ("target", "os", "version", "arch")  #: the later ones need the earlier


@dataclass(frozen=True, kw_only=True)
class Include:
    """What is added to the target images that `of` names: target, system, version, architecture."""

    of: tuple[str, ...]  #: from none of the four, which is any image, to all of them
    packages: tuple[Package, ...] = ()
    repositories: tuple[Repository, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TargetContent:
    """All includes, in the file's order."""

    includes: tuple[Include, ...] = ()

    def include(self, target: str, template: Template) -> Include | None:
        """The first of those that say most about such an image; only one is ever taken."""
        image = (target, template.os.name, template.os.version, template.os.arch)
        fitting = [entry for entry in self.includes if entry.of == image[: len(entry.of)]]
        return max(fitting, key=lambda entry: len(entry.of), default=None)


def parse(document: bytes, *, origin: str) -> TargetContent:
    """Read a `<template_includes>`; `ConfigError` names the origin, the line and the fault."""
    try:
        root = markup.read(document)
    except markup.Malformed as error:
        msg = f'The file "{origin}" cannot be read at line {error.line}: {error}'
        raise ConfigError(msg) from error
    if root.tag != _ROOT:
        raise _wrong(root, origin, f'has "{root.tag!s}" where "{_ROOT}" belongs')
    return TargetContent(includes=tuple(_include(element, origin) for element in root))


def _include(element: etree._Element, origin: str) -> Include:
    if element.tag != _INCLUDE:
        raise _wrong(element, origin, f'has "{element.tag!s}" where "{_INCLUDE}" belongs')
    if unknown := [name for name in map(str, element.attrib) if name not in _ATTRIBUTES]:
        raise _wrong(element, origin, f'has an unknown attribute "{unknown[0]}"')
    named = tuple(element.get(name) for name in _ATTRIBUTES)
    of = tuple(value for value in named if value is not None)
    if of != named[: len(of)]:
        missing = _ATTRIBUTES[named.index(None)]
        raise _wrong(element, origin, f'has no attribute "{missing}" beside those that need it')
    packages: tuple[Package, ...] = ()
    repositories: tuple[Repository, ...] = ()
    for child in element:
        try:
            match child.tag:
                case "packages":
                    packages += parse_packages(etree.tostring(child, with_tail=False))
                case "repositories":
                    repositories += parse_repositories(etree.tostring(child, with_tail=False))
                case _:
                    raise _wrong(child, origin, f'has an unknown element "{child.tag!s}"')
        except TemplateError as error:
            fault = error.faults[0][1] if error.faults else str(error)
            raise _wrong(child, origin, f'has a wrong element "{child.tag!s}": {fault}') from error
    return Include(of=of, packages=packages, repositories=repositories)


def _wrong(element: etree._Element, origin: str, what: str) -> ConfigError:
    return ConfigError(f'The file "{origin}" {what}, at line {element.sourceline}')
