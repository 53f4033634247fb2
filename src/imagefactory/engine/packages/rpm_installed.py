"""Reads what is installed in a tree of the RPM family, as bills of materials tell it."""

import re
from collections.abc import Iterator
from typing import Final

from imagefactory.core.bill import Installed, Licensing, Supplier
from imagefactory.core.lock import Lock
from imagefactory.engine.packages.copyright import spdx_id
from imagefactory.engine.packages.dpkg_installed import homepage
from imagefactory.engine.tree import Tree

_TAGS: Final = (
    *("NAME", "ARCH", "EPOCH", "VERSION", "RELEASE", "SOURCERPM", "LICENSE", "VENDOR", "URL", "SUMMARY"),
)  # fmt: skip
#: A line for each package, and behind it one for each of its files, which begins with a tab.
_FORMAT: Final = r"\t".join(f"%{{{tag}}}" for tag in _TAGS) + r"\n[\t%{FILENAMES}\n]"
_NONE: Final = "(none)"  # what rpm writes for a tag that a package lacks
_KEY: Final = "gpg-pubkey"  # rpm lists the keys that it was given as packages of this name

_WORD: Final = re.compile(r"[^\s()]+")
_OPERATORS: Final = {"AND", "OR"}
_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]+")
_AS_WRITTEN: Final = 'The package names its licence "{}" and has no text of it.'


def read_installed(tree: Tree, lock: Lock | None) -> tuple[Installed, ...]:
    """Every package that the guest's own rpm knows, with what the lock knows of its file."""
    return installed(tree.run(["rpm", "-qa", "--queryformat", _FORMAT], quiet=True), lock=lock)


def installed(listing: str, *, lock: Lock | None) -> tuple[Installed, ...]:
    """The packages that rpm listed, in the order of their names."""
    locked = {
        (one.name, one.arch, one.version.rpartition(":")[2]): one
        for one in (lock.packages if lock else ())
    }
    found = []
    for line, files in _records(listing):
        name, arch, epoch, version, release, source, licence, vendor, url, summary = (
            None if value == _NONE else value for value in line.split("\t", len(_TAGS) - 1)
        )
        if not name or name == _KEY:
            continue
        full = f"{version}-{release}"
        origin = locked.get((name, arch or "", full))
        found.append(
            Installed(
                family="rpm",
                name=name,
                arch=arch or "",
                version=full,
                epoch=epoch,
                source=source or name,
                supplier=Supplier(name=vendor) if vendor else None,
                homepage=homepage(url or ""),
                summary=summary,
                licensing=licensing(licence, name=name),
                files=files,
                url=None if origin is None else origin.url,
                sha256=None if origin is None else origin.sha256,
            )
        )
    return tuple(sorted(found, key=lambda one: (one.name, one.arch, one.version)))


def licensing(tag: str | None, *, name: str) -> Licensing:
    """What the tag `License` of a package says.

    An expression of licences that SPDX's list has beyond doubt stays one; anything else, such as the
    names that Fedora used until 2023, is one licence of the package's own.
    """
    if not tag:
        return Licensing()
    words = _WORD.findall(tag)
    operators = {word.upper() for word in words[1::2]}
    ids = [_id(word) for word in words[::2]]
    if None not in ids and operators <= _OPERATORS and len(words) % 2 and _is_nested(tag):
        known = iter(
            word.upper() if at % 2 else ids[at // 2] or word for at, word in enumerate(words)
        )
        return Licensing(expression=" ".join(_WORD.sub(lambda _: next(known), tag).split()))
    reference = f"LicenseRef-{_UNFIT.sub('-', name)}-{_UNFIT.sub('-', tag).strip('-')}"
    return Licensing(expression=reference, texts={reference: _AS_WRITTEN.format(tag)})


def _id(word: str) -> str | None:
    # Of Debian's names "MIT" may mean several licences; SPDX's means one.
    return word if word == "MIT" else spdx_id(word)


def _is_nested(tag: str) -> bool:
    """Whether every parenthesis stands where an expression may have one."""
    form = re.sub(r"\s+", "", _WORD.sub("x", tag.replace(")", " ) ").replace("(", " ( ")))
    while (inner := re.sub(r"\(x(?:xx)*\)", "x", form)) != form:
        form = inner
    return "(" not in form and ")" not in form


def _records(listing: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The line of each package, with the paths of its files."""
    line, files = "", list[str]()
    for each in listing.split("\n"):
        if each.startswith("\t"):
            files += [each[1:]] if each.startswith("\t/") else []
        elif each.count("\t") >= len(_TAGS) - 1:
            if line:
                yield line, tuple(files)
            line, files = each, []
    if line:
        yield line, tuple(files)
