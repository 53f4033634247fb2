"""Downloads files of known SHA-256 into the objects that builds share, several at a time."""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import httpx2

from imagefactory.core.errors import VerificationError
from imagefactory.engine.fetch import PATIENT, Fetcher, Patience, http_client
from imagefactory.engine.mirrors import rewrite, shown
from imagefactory.engine.objects import Objects, demand_room, room_at
from imagefactory.engine.plan import Build
from imagefactory.engine.threads import Asking, Stop, side_by_side

THREADS: Final = 6

#: Targets of one base begin together, with the same packages.
_HELD: Final[Asking[Path, bool]] = Asking()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A file somewhere, whose bytes are known beforehand."""

    url: str  #: as a template or its mirror names it, before any rewriting
    sha256: str
    size: int  #: bytes
    label: str  #: what messages call it
    otherwise: str | None = None  #: the URL to try when there is nothing behind the first


class _Count:
    """Bytes that have come so far, counted by several threads."""

    def __init__(self, whole: int) -> None:
        self._whole = max(whole, 1)
        self._come = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._come += size

    @property
    def percent(self) -> int:
        return 100 * self._come // self._whole


def objects_of(build: Build) -> Objects:
    """The files that all builds of this factory share."""
    return Objects(folder=build.cache / "objects")


def download(
    build: Build,
    wanted: Sequence[Wanted],
    *,
    percents: range = range(100),
    patience: Patience = PATIENT,
) -> int:
    """Bring what is not yet among the build's objects, and return how many bytes that were.

    A broken transfer goes on where it stopped, in a later build too. A file with a wrong SHA-256 is
    fetched once more, then refused: `VerificationError`. `SpaceError` comes before the first byte when
    the host's disk is too small. Progress is reported over the range `percents`.
    """
    objects = objects_of(build)
    objects.folder.mkdir(parents=True, exist_ok=True)
    objects.folder.chmod(0o755)
    check = build.tools.cancellation.check
    missing = [
        file
        for file in _distinct(wanted)
        if not _HELD.ask(
            objects.path(file.sha256), partial(objects.holds, file.sha256), check=check
        )
    ]
    if not missing:
        return 0
    size = sum(file.size for file in missing)
    demand_room(objects.folder, size)
    count = _Count(size)

    def watch() -> None:
        build.report(percents.start + len(percents) * count.percent // 100)

    with http_client(patience=patience) as client:
        receiver = _Receiver(
            build=build, client=client, patience=patience, objects=objects, count=count
        )
        jobs = [partial(receiver.bring, file) for file in missing]
        side_by_side(jobs, cancellation=build.tools.cancellation, threads=THREADS, watch=watch)
    return size


def _distinct(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Each file once, the largest first, so that no thread is left with it at the end."""
    files = {file.sha256: file for file in wanted}
    return sorted(files.values(), key=lambda file: (-file.size, file.sha256))


@dataclass(frozen=True, kw_only=True)
class _Receiver:
    """What the threads of one download share."""

    build: Build
    client: httpx2.Client
    patience: Patience
    objects: Objects
    count: _Count

    def bring(self, file: Wanted, stop: Stop) -> None:
        fetcher = Fetcher(client=self.client, build=self.build, stop=stop, patience=self.patience)
        transfer = _Transfer(fetcher=fetcher, file=file, count=self.count)
        folder = self.objects.folder
        with room_at(folder), self.objects.receive(file.sha256, check=stop.check) as target:
            if target is None:
                self.count.add(file.size)
                return
            if not transfer.run(target) and not transfer.run(target):
                raise transfer.refused()
            self.objects.keep(target, file.sha256)


@dataclass(frozen=True, kw_only=True)
class _Transfer:
    """The way of one file's bytes into an object's file."""

    fetcher: Fetcher
    file: Wanted
    count: _Count

    def run(self, target: BinaryIO) -> bool:
        """Fetch what is missing; False, and an empty file again, when the bytes are not the wanted ones."""
        self.count.add(target.tell())
        urls = [url for url in (self.file.url, self.file.otherwise) if url is not None]
        if not any(self._come(url, target) for url in urls):
            raise self.fetcher.failed(urls[-1], "the server answered 404")
        target.flush()
        if _digest(target) == self.file.sha256:
            return True
        self._restart(target)
        return False

    def refused(self) -> VerificationError:
        tried = shown(rewrite(self.file.url, self.fetcher.build.mirrors))
        return VerificationError(
            f'The {self.file.label} from "{tried}" does not have the SHA-256 that its index gives',
            hint="The mirror is damaged, or in the middle of an update: try again, or use another",
        )

    def _come(self, url: str, target: BinaryIO) -> bool:
        """Append what is missing; False when there is nothing behind the URL."""

        def append() -> bool:
            if target.tell() >= self.file.size:
                return True
            with self.fetcher.open(url, offset=target.tell()) as response:
                if response.status_code in {404, 410}:
                    return False
                if response.status_code == 200:
                    self._restart(target)
                for piece in response.iter_raw():
                    self.fetcher.stop.check()
                    target.write(piece)
                    self.count.add(len(piece))
                    if target.tell() > self.file.size:
                        break
            return True

        return self.fetcher.persist(url, append)

    def _restart(self, target: BinaryIO) -> None:
        self.count.add(-target.tell())
        target.truncate(0)
        target.seek(0)


def _digest(file: BinaryIO) -> str:
    with Path(file.name).open("rb") as whole:
        return hashlib.file_digest(whole, "sha256").hexdigest()
