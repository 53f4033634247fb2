"""Reads what is installed in a tree of the Debian family, as bills of materials tell it."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from imagefactory.core.bill import Installed, Licensing, Supplier
from imagefactory.core.lock import Lock
from imagefactory.engine.packages.copyright import read_copyright
from imagefactory.engine.packages.deb822 import Stanza, stanzas
from imagefactory.engine.tree import Tree

_STATUS: Final = "/var/lib/dpkg/status"
#: Prints many files at once, each with its name before and a null byte behind it: one process, where
#: `cat` would be hundreds.
_MANY: Final = """
set -- {pattern}
[ ! -e "$1" ] || exec sed -s -e 1F -e '$s/$/\\x00/' -- "$@"
"""
_BYTES: Final = {"LC_ALL": "C"}  # or sed would refuse what is not UTF-8

_SOURCE: Final = re.compile(r"(\S+)(?:\s+\((.+)\))?")
_MAINTAINER: Final = re.compile(r"(.*?)\s*<([^<>\s]+@[^<>\s]+)>")
#: words by which groups name themselves, in names and addresses
_GROUP: Final = re.compile(
    r"team|maintainers|developers|group|project|packag|@lists\.|@tracker\.|@packages\.",
    re.IGNORECASE,
)
_URL: Final = re.compile(r"https?://[^\s<>\"{}|\\^`]+")


def read_installed(tree: Tree, lock: Lock | None) -> tuple[Installed, ...]:
    """Every package that dpkg has configured, with what the lock knows of its file."""
    status = tree.read(_STATUS) or b""
    lists = dict(_many(tree, "/var/lib/dpkg/info/*.list"))
    copyrights = dict(_many(tree, "/usr/share/doc/*/copyright"))
    return installed(status.decode(), lists=lists, copyrights=copyrights, lock=lock)


def _many(tree: Tree, pattern: str) -> Iterator[tuple[str, str]]:
    script = _MANY.format(pattern=pattern)
    for record in tree.run(["sh", "-c", script], quiet=True, env=_BYTES).split("\0\n"):
        path, _, content = record.partition("\n")
        yield path, content


def installed(
    status: str, *, lists: Mapping[str, str], copyrights: Mapping[str, str], lock: Lock | None
) -> tuple[Installed, ...]:
    """The packages in dpkg's status file, in the order of their names; `lists` and `copyrights` by path."""
    locked = {(one.name, one.arch, one.version): one for one in lock.packages} if lock else {}
    found = []
    read: dict[tuple[str, str], Licensing] = {}
    for stanza in stanzas(status):
        if not stanza.get("Status", "").endswith(" installed") or "Package" not in stanza:
            continue
        name, arch, version = (
            stanza.get(key, "") for key in ("Package", "Architecture", "Version")
        )
        source, source_version = _source(stanza)
        text = copyrights.get(f"/usr/share/doc/{name}/copyright", "")
        if (source, text) not in read:
            read[source, text] = read_copyright(text, source=source)
        origin = locked.get((name, arch, version))
        found.append(
            Installed(
                family="deb",
                name=name,
                arch=arch,
                version=version,
                source=source,
                source_version=source_version,
                supplier=_supplier(stanza.get("Maintainer", "")),
                homepage=homepage(stanza.get("Homepage", "")),
                summary=stanza.get("Description", "").partition("\n")[0] or None,
                licensing=read[source, text],
                files=_files(lists, name, arch),
                url=None if origin is None else origin.url,
                sha256=None if origin is None else origin.sha256,
            )
        )
    return tuple(sorted(found, key=lambda one: (one.name, one.arch)))


def _source(stanza: Stanza) -> tuple[str, str | None]:
    """Name and, where it is not the package's own, version of the source package."""
    given = _SOURCE.fullmatch(stanza.get("Source", ""))
    return (stanza["Package"], None) if given is None else (given[1], given[2])


def _supplier(maintainer: str) -> Supplier | None:
    given = _MAINTAINER.fullmatch(maintainer)
    if given is None or not given[1]:
        return None
    name, email = given[1].strip('"'), given[2]
    return Supplier(name=name, email=email, person=not _GROUP.search(f"{name} {email}"))


def homepage(text: str) -> str | None:
    """An address of the web, or nothing: what else packages write there is of no use to others."""
    return text if _URL.fullmatch(text) else None


def _files(lists: Mapping[str, str], name: str, arch: str) -> tuple[str, ...]:
    folder = "/var/lib/dpkg/info"
    text = lists.get(f"{folder}/{name}:{arch}.list") or lists.get(f"{folder}/{name}.list", "")
    return tuple(line for line in text.split("\n") if line.startswith("/") and line != "/.")
