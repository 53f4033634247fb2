"""Keeps the cache below its size: what nobody has used for longest goes first, and never what a build uses."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagefactory.core.errors import RequestError
from imagefactory.core.lock import Lock
from imagefactory.engine.files import is_at
from imagefactory.engine.sandbox import Sandbox

_LOCK: Final = "lock.json"  #: in the scratch folder of a build: the packages that it needs
TREE: Final = "tree.json"  #: there too: the layers that it stands on
DISC: Final = "disc"  #: there too: the name of the disc image that it reads, without a suffix
_PARTIAL: Final = ".partial"
_ASIDE: Final = ".evicted.partial"
_BLOCK: Final = 512


@dataclass(frozen=True, kw_only=True)
class Cached:
    """A layer, a package file or a disc image, which can be made or fetched again."""

    path: Path
    size: int  #: bytes on the disk
    used: float  #: seconds since 1970


@contextmanager
def in_use(cache: Path) -> Iterator[None]:
    """Nothing is evicted while the block runs: from finding a thing until a build is known to need it."""
    with _locked(cache, fcntl.LOCK_SH):
        yield


@dataclass(frozen=True, kw_only=True)
class Eviction:
    """The cache of one factory, and the builds that use it: each has a folder in `scratch`."""

    cache: Path
    scratch: Path
    sandbox: Sandbox

    def surplus(self, limit: int) -> list[Cached]:
        """What has to go for the cache to have `limit` bytes at most, as far as no build needs it."""
        excess = sum(cached.size for cached in self._everything()) - limit
        going = []
        for cached in self.unneeded():
            if excess <= 0:
                break
            going.append(cached)
            excess -= cached.size
        return going

    def unneeded(self) -> list[Cached]:
        """All that no build stands on, the one first that was used longest ago."""
        needed = self._needed()
        found = [cached for cached in self._everything() if cached.path not in needed]
        return sorted(found, key=lambda cached: cached.used)

    def _everything(self) -> list[Cached]:
        return [*self._layers(), *self._files()]

    def run(self, limit: int) -> int:
        """Remove the surplus, and what dead builds have left half made; the bytes that this freed."""
        aside = []
        with _locked(self.cache, fcntl.LOCK_EX):
            surplus = self.surplus(limit)
            for cached in surplus:
                if cached.path.is_dir():
                    away = cached.path.with_name(f".{cached.path.name}{_ASIDE}")
                    cached.path.rename(away)
                    aside.append(away)
                else:
                    cached.path.unlink(missing_ok=True)
        for path in [*aside, *self.halves()]:
            self.sandbox.remove(path)
        return sum(cached.size for cached in surplus)

    def halves(self) -> list[Path]:
        """Layers that nobody has finished and nobody makes."""
        folder = self.cache / "layers"
        found = folder.iterdir() if folder.is_dir() else ()
        return [path for path in found if path.name.endswith(_PARTIAL) and _is_free(path)]

    def _layers(self) -> Iterator[Cached]:
        for sealed in (self.cache / "layers").glob("[!.]*/sealed.json"):
            with suppress(FileNotFoundError, ValueError):
                values: dict[str, Any] = json.loads(sealed.read_text())
                used = sealed.stat().st_mtime
                yield Cached(path=sealed.parent, size=values.get("size", 0), used=used)

    def _files(self) -> Iterator[Cached]:
        for path in [*(self.cache / "objects").glob("??/*"), *(self.cache / "discs").glob("*")]:
            with suppress(FileNotFoundError):
                status = path.stat()
                yield Cached(path=path, size=status.st_blocks * _BLOCK, used=status.st_mtime)

    def _needed(self) -> set[Path]:
        """What builds stand on that run, that wait to be gone on with, or that have been kept for it."""
        needed: set[Path] = set()
        for record in self.scratch.glob(f"*/{TREE}"):
            with suppress(FileNotFoundError, ValueError):
                state = self.scratch.parent
                layers = (state / path for _, path in json.loads(record.read_text()))
                needed |= {Path(os.path.normpath(layer)).parent for layer in layers}
        for record in self.scratch.glob(f"*/{_LOCK}"):
            with suppress(FileNotFoundError, RequestError):
                packages = Lock.loads(record.read_text()).packages
                objects = self.cache / "objects"
                needed |= {objects / one.sha256[:2] / one.sha256 for one in packages}
        for record in self.scratch.glob(f"*/{DISC}"):
            with suppress(FileNotFoundError):
                needed |= set((self.cache / "discs").glob(f"{record.read_text()}.*"))
        return needed


def _is_free(folder: Path) -> bool:
    """Whether no build holds the lock on a folder in which a layer grows."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return is_at(handle, folder)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


@contextmanager
def _locked(cache: Path, how: int) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    handle = os.open(cache, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
