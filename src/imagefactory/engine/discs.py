"""A distribution's disc image as a source of packages: fetched whole, then read where its files lie.

A URL whose fragment is a path, `http://mirror.example.org/debian.iso#/dists/…`, is a file on such a disc.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote

from imagefactory.core.errors import BuildError, FetchError
from imagefactory.engine.iso9660 import Volume
from imagefactory.engine.mirrors import shown
from imagefactory.engine.plan import Build

_MARK: Final = "#/"
_POOL: Final = "/pool/"  # where the packages of an archive of the Debian family lie


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A file on a disc, as if a server had answered."""

    disc: BinaryIO
    volume: Volume
    path: str

    def pieces(self, *, offset: int) -> Iterator[bytes] | None:
        """Its bytes from `offset` on; None when the disc has no such file."""
        entry = self.volume.find(self.path)
        if entry is None or entry.folder:
            return None
        return self.volume.pieces(entry, offset=offset)


def place_of(build: Build, url: str) -> Path:
    """Where the image behind a URL is kept, for all builds."""
    return build.cache / "discs" / f"{hashlib.sha256(url.encode()).hexdigest()}.iso"


def file_on(disc: str, path: str) -> str:
    """The URL of a file on a disc."""
    return f"{disc}{_MARK}{path.lstrip('/')}"


def is_on_disc(url: str) -> bool:
    """Whether a URL leads onto a disc."""
    return _MARK in url or url.endswith("#")


def twin_on(disc: str, url: str) -> str | None:
    """Where a disc would have the package that lies at a URL, if that is the pool of an archive."""
    head, found, rest = url.rpartition(_POOL)
    return file_on(disc, f"pool/{rest}") if head and found else None


@contextmanager
def opened(build: Build, url: str) -> Iterator[Answer]:
    """A file on a disc that an earlier step has fetched; `FetchError` when none has."""
    disc, _, path = url.partition(_MARK)
    place = place_of(build, disc)
    if not place.exists():
        msg = f'The disc image "{shown(disc)}" has not been fetched by this build'
        raise FetchError(msg, hint='Use a template with <install type="iso">, or another lock')
    with place.open("rb") as file:
        try:
            yield Answer(disc=file, volume=Volume.read(file), path=unquote(path))
        except BuildError as error:
            if type(error) is not BuildError:
                raise
            msg = f'The disc image "{shown(disc)}" cannot be read: {error}'
            raise FetchError(msg) from error


#: `sum  name` and `sum *name` of coreutils, and `SHA256 (name) = sum` of the BSDs
_LINES: Final = (
    re.compile(r"\\?(?P<sum>[0-9a-fA-F]{32,64})(?: [ *](?P<name>.+))?"),
    re.compile(r"\w+ ?\((?P<name>.+)\) ?= ?(?P<sum>[0-9a-fA-F]{32,64})"),
)


def sum_for(name: str, text: str, *, digits: int) -> str | None:
    """The checksum that a checksum file gives for a file; one without names holds that of any."""
    for line in text.splitlines():
        for pattern in _LINES:
            match = pattern.fullmatch(line.strip())
            if match is None or len(match["sum"]) != digits:
                continue
            if match["name"] is None or match["name"].rpartition("/")[2] == name:
                return match["sum"].lower()
    return None
