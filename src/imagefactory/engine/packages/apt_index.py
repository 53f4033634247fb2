"""Reads what an archive of the Debian family says about itself: its Release file, and its indexes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Self

from imagefactory.engine.packages.apt_sources import Source
from imagefactory.engine.packages.deb822 import stanzas

#: What an index may be packed with, best first.
PACKINGS: Final = (".xz", ".gz", "")
_ENTRY: Final = re.compile(r"\s*([0-9a-fA-F]{64})\s+(\d+)\s+(\S+)\s*")


@dataclass(frozen=True, kw_only=True)
class Index:
    """One index of an archive, as its Release file names it."""

    path: str  #: below the folder of the Release file
    sha256: str
    size: int  #: bytes


@dataclass(frozen=True, kw_only=True)
class Release:
    """A Release file's content, before anybody has verified its signature."""

    date: int  #: seconds since 1970; 0 when it does not say
    by_hash: bool  #: indexes are kept under their digests too, so that an update never tears
    separate_all: bool  #: packages for all architectures have an index of their own
    indexes: Mapping[str, Index]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `Release`, or the signed text within `InRelease`."""
        content: Mapping[str, str] = {}
        for stanza in stanzas(text):
            if "SHA256" in stanza or "Date" in stanza:
                content = stanza
                break
        matches = map(_ENTRY.fullmatch, content.get("SHA256", "").split("\n"))
        indexes = {
            match[3]: Index(path=match[3], sha256=match[1].lower(), size=int(match[2]))
            for match in matches
            if match is not None
        }
        return cls(
            date=_seconds(content.get("Date", "")),
            by_hash=content.get("Acquire-By-Hash", "no").lower() == "yes",
            separate_all="all" in content.get("Architectures", "").split()
            and "Packages" not in content.get("No-Support-for-Architecture-all", ""),
            indexes=indexes,
        )

    def chosen(self, source: Source, architecture: str) -> dict[str, Index | None]:
        """The indexes that a source needs, by what they are called; None where there is no such one."""
        found = {name: self._packed(path) for name, path in needed(source, architecture).items()}
        if not source.suite.endswith("/") and self.separate_all:
            for component in source.components:
                if index := self._packed(f"{component}/binary-all/Packages"):
                    found[f"{component} for all architectures"] = index
        return found

    def _packed(self, path: str) -> Index | None:
        found = (self.indexes.get(path + packing) for packing in PACKINGS)
        return next((index for index in found if index is not None), None)


def needed(source: Source, architecture: str) -> dict[str, str]:
    """The paths of the indexes that a source cannot do without, by what they are called."""
    if source.suite.endswith("/"):
        return {"packages": "Packages"}
    return {
        f"{component} for {architecture}": f"{component}/binary-{architecture}/Packages"
        for component in source.components
    }


def _seconds(date: str) -> int:
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except ValueError:
        return 0
