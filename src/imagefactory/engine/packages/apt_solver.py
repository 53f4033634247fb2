"""Asks apt which packages a system needs, and says in a sentence why it refuses."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from imagefactory.core.errors import CommandFailed, PackageError
from imagefactory.core.lock import LockedPackage
from imagefactory.engine.packages.apt_root import AptRoot
from imagefactory.engine.packages.apt_sources import Source
from imagefactory.engine.packages.deb822 import Stanza, blocks, dumps, named, package_names, stanzas

#: What every system of the family has (Debian Policy 2.5, 3.8); apt is what the factory installs with.
MINIMAL: Final = ("?essential", "?priority(required)", "apt")

#: A package's name, and what apt takes behind it: an architecture, and a version or a suite.
_REQUEST: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9+.-]*)(?::[a-z0-9-]+)?(?:(?P<kind>[=/])[\w.+:~-]+)?"
)
_INSTALL: Final = re.compile(r"Inst (?P<name>[^\s:]+)(?::\S+)?(?: \[[^\]]*\])? \((?P<version>\S+) ")
_UNMET: Final = re.compile(
    r"^ (?P<name>\S+) : (?P<kind>\w[\w-]*): (?P<other>\S+(?: \([^)]*\))?)(?: but (?P<why>.*))?$",
    re.MULTILINE,
)
_RELATIONS: Final = {
    "Depends": "it depends on",
    "PreDepends": "it depends on",
    "Conflicts": "it conflicts with",
    "Breaks": "it breaks",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """A package of an index, and the source that the index is of."""

    source: Source
    stanza: Stanza

    def locked(self, layer: str) -> LockedPackage:
        """The package as the lock names it."""
        stanza = self.stanza
        path = quote(stanza["Filename"].removeprefix("./"), safe="/~+:")
        return LockedPackage(
            name=stanza["Package"],
            version=stanza["Version"],
            arch=stanza["Architecture"],
            url=f"{self.source.url}/{path}",
            size=int(stanza["Size"]),
            sha256=stanza["SHA256"].lower(),
            origin=self.source.name,
            layer=layer,
        )


def requested_name(request: str) -> str:
    """The package's name in what a template asks for: `name`, `name=version` or `name/suite`."""
    match = _REQUEST.fullmatch(request)
    if match is None:
        msg = f'"{request}" is not the name of a package'
        hint = 'Write a name, "name=version" or "name/suite"'
        raise PackageError(msg, hint=hint)
    return match["name"]


def solve(
    root: AptRoot, requests: Sequence[str], *, recommends: bool, installed: Iterable[Stanza] = ()
) -> list[Found]:
    """What apt would install for these requests on a system that has `installed`.

    The same question about the same indexes is answered from memory. `PackageError` names a package
    that is unknown, with up to three that are called alike, or says why one cannot be installed.
    """
    status = "".join(dumps({**stanza, "Status": "install ok installed"}) for stanza in installed)
    question = json.dumps([list(requests), recommends, status])
    if answer := root.remembered(question):
        return [
            Found(source=root.sources[number], stanza=stanza)
            for number, stanza in json.loads(answer)
        ]
    found = _looked_up(root, _simulated(root, requests, recommends=recommends, status=status))
    numbered = [(root.sources.index(one.source), one.stanza) for one in found]
    root.remember(question, json.dumps(numbered))
    return found


def _simulated(
    root: AptRoot, requests: Sequence[str], *, recommends: bool, status: str
) -> set[tuple[str, str]]:
    """The names and versions that apt picks."""
    try:
        output = root.run(
            [
                *("apt-get", "install", "--simulate", "-o", root.status(status)),
                *("-o", f"APT::Install-Recommends={str(recommends).lower()}"),
                *("--", *requests),
            ]
        )
    except CommandFailed as error:
        raise _explained(root, error) from error
    return {(match["name"], match["version"]) for match in _INSTALL.finditer(output)}


def _looked_up(root: AptRoot, versions: set[tuple[str, str]]) -> list[Found]:
    found: dict[tuple[str, str], Found] = {}
    names = {name for name, _ in versions}
    for source, index in root.lists():
        for stanza in named(index, names):
            key = stanza["Package"], stanza["Version"]
            if key in versions and "SHA256" in stanza:
                found.setdefault(key, Found(source=source, stanza=stanza))
    if missing := sorted(versions - found.keys()):
        name, version = missing[0]
        msg = f'No index gives a SHA-256 for the package "{name}" in version "{version}"'
        raise PackageError(msg)
    return [found[key] for key in sorted(found)]


def _explained(root: AptRoot, error: CommandFailed) -> PackageError | CommandFailed:
    """Apt's refusal as a sentence; the error itself where apt failed in another way."""
    tail = error.tail
    if unknown := re.findall(r"E: Unable to locate package (\S+)", tail):
        return _unknown(root, unknown)
    if match := re.search(r"E: Version '(.+)' for '(.+)' was not found", tail):
        versions = sorted({stanza["Version"] for stanza in _stanzas(root, match[2])})
        hint = f"There is {_listing(versions)}"
        return PackageError(f'The package "{match[2]}" has no version "{match[1]}"', hint=hint)
    if match := re.search(r"E: Release '(.+)' for '(.+)' was not found", tail):
        hint = f"There is {_listing([source.suite for source in root.sources])}"
        return PackageError(f'The package "{match[2]}" is not in the suite "{match[1]}"', hint=hint)
    if match := re.search(r"E: Package '(.+)' has no installation candidate", tail):
        return _virtual(root, match[1])
    if match := _UNMET.search(tail):
        relation = _RELATIONS.get(match["kind"], f"{match['kind'].lower()}")
        why = f", but {match['why']}" if match["why"] else ""
        other = re.sub(r"^\S+", lambda name: f'"{name[0]}"', match["other"])
        return PackageError(
            f'The package "{match["name"]}" cannot be installed: {relation} {other}{why}'
        )
    reasons = re.findall(r"^E: (.+?)\.?$", tail, re.MULTILINE)
    if not reasons:
        return error
    return PackageError(f"The packages cannot be installed: {reasons[-1]}")


def _unknown(root: AptRoot, names: Sequence[str]) -> PackageError:
    known = {name for _, index in root.lists() for name in package_names(index)}
    hints = [
        f'For "{name}", there is ' + _listing(alike)
        for name in names
        if (alike := difflib.get_close_matches(name, known, n=3))
    ]
    subject = (
        f'The package "{names[0]}" is' if len(names) == 1 else f"The packages {_listing(names)} are"
    )
    return PackageError(f"{subject} unknown", hint="; ".join(hints) or None)


def _virtual(root: AptRoot, name: str) -> PackageError:
    providers = sorted(
        {
            stanza["Package"]
            for _, index in root.lists()
            for block in blocks(index)
            if name.encode() in block
            for stanza in stanzas(block.decode("utf-8", "replace"))
            if name in provided(stanza)
        }
    )
    if not providers:
        return _unknown(root, [name])
    msg = f'The package "{name}" is virtual, and more than one package provides it'
    return PackageError(msg, hint=f"Name one of {_listing(providers[:10], last='or')}")


def provided(stanza: Stanza) -> set[str]:
    """The virtual packages that a package provides (Debian Policy 7.5)."""
    return {part.split("(")[0].strip() for part in stanza.get("Provides", "").split(",")} - {""}


def _stanzas(root: AptRoot, name: str) -> list[Stanza]:
    return [stanza for _, index in root.lists() for stanza in named(index, {name})]


def _listing(names: Sequence[str], *, last: str = "and") -> str:
    quoted = [f'"{name}"' for name in names]
    return f" {last} ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
