"""Reads where packages lie from an RPM repository's index, for a solver that does not tell."""

import gzip
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import zstandard
from lxml import etree

from imagefactory.core.errors import PackageError

_COMMON: Final = "{http://linux.duke.edu/metadata/common}"
#: name, `version-release` with an epoch if it has one, architecture
Known = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What an index says of a package's file."""

    known: Known
    location: str
    size: int
    kind: str  #: of the digest
    digest: str


def listed(primary: Path, wanted: Collection[Known]) -> Iterator[Listed]:
    """The entries of the wanted packages. `PackageError` for an index that is packed in an unknown way."""
    with primary.open("rb") as packed:
        file = _opened(packed, primary.name)
        walk = etree.iterparse(
            file, tag=f"{_COMMON}package", resolve_entities=False, no_network=True, huge_tree=False
        )
        for _, element in walk:
            known = _known(element)
            if known in wanted:
                yield _listed(element, known)
            element.clear()
            if (above := element.getparent()) is not None:
                del above[: above.index(element)]


def _opened(file: BinaryIO, name: str) -> BinaryIO:
    if name.endswith(".gz"):
        return gzip.open(file)  # type: ignore[return-value]
    if name.endswith(".zst"):
        return zstandard.ZstdDecompressor().stream_reader(file)
    if name.endswith(".xml"):
        return file
    msg = f'The index "{name}" is packed in a way that is not known here'
    raise PackageError(msg, hint="Use a mirror whose index is packed by gzip or zstd")


def _known(element: etree._Element) -> Known:
    version = element.find(f"{_COMMON}version")
    epoch, number, release = (
        "" if version is None else version.get(name, "") for name in ("epoch", "ver", "rel")
    )
    edition = f"{number}-{release}" if epoch in {"", "0"} else f"{epoch}:{number}-{release}"
    name = element.findtext(f"{_COMMON}name") or ""
    return name, edition, element.findtext(f"{_COMMON}arch") or ""


def _listed(element: etree._Element, known: Known) -> Listed:
    location, size, checksum = (
        element.find(f"{_COMMON}{name}") for name in ("location", "size", "checksum")
    )
    if location is None or size is None or checksum is None:
        msg = f'The index says nothing of where the package "{known[0]}" is'
        raise PackageError(msg)
    return Listed(
        known=known,
        location=location.get("href", ""),
        size=int(size.get("package", "0")),
        kind=checksum.get("type", ""),
        digest=(checksum.text or "").strip(),
    )
