"""The step that brings a distribution's disc image, and checks it against its checksum file."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Final
from urllib.parse import unquote, urlsplit

from imagefactory.core.errors import VerificationError
from imagefactory.core.template import Install
from imagefactory.engine.discs import place_of, sum_for
from imagefactory.engine.eviction import DISC, in_use
from imagefactory.engine.fetch import Fetcher, fetch, http_client
from imagefactory.engine.files import write_atomically
from imagefactory.engine.locks import wait_for_lock
from imagefactory.engine.mirrors import shown
from imagefactory.engine.objects import demand_room, room_at
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.threads import Stop, side_by_side

_LIMIT: Final = 4 << 20  # bytes of a checksum file
_DIGITS: Final = {"md5": 32, "sha1": 40, "sha256": 64}
_COME: Final = 99  # percent, after which it is only compared


@dataclass(frozen=True, kw_only=True)
class FetchDisc(Step):
    """Keeps the image in the cache, where files are read out of it; a broken transfer goes on.

    Without a checksum it is taken as it is: who signs what is on it must vouch then.
    """

    weight: ClassVar[int] = 20

    install: Install

    @property
    def activity(self) -> str:
        return "Fetching the disc image"

    def run(self, build: Build) -> None:
        expected = self._expected(build)
        place = place_of(build, self.install.url)
        with in_use(build.cache):
            write_atomically(build.scratch / DISC, place.stem)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(".partial")
        with room_at(place.parent), partial.open("a+b") as file:
            wait_for_lock(file.fileno(), check=build.tools.cancellation.check)
            if place.exists() and (expected is None or self._sum(place) == expected):
                build.tools.log("The disc image is in the cache")
                os.utime(place)
                partial.unlink(missing_ok=True)
                return
            for again in (False, True):
                self._come(build, file)
                if expected is None or self._sum(partial) == expected:
                    partial.replace(place)
                    return
                file.truncate(0)
                if again:
                    raise self._refused()

    def _expected(self, build: Build) -> str | None:
        kind, url = self.install.checksum_type, self.install.checksum_url
        if kind is None or url is None:
            return None
        text = fetch(build, url, limit=_LIMIT).decode("utf-8", "replace")
        name = unquote(urlsplit(self.install.url).path).rpartition("/")[2]
        found = sum_for(name, text, digits=_DIGITS[kind])
        if found is None:
            msg = f'The checksum file "{shown(url)}" has no {kind} for "{name}"'
            raise VerificationError(msg)
        return found

    def _come(self, build: Build, target: BinaryIO) -> None:
        """Append what is missing of the image."""
        url = self.install.url
        build.tools.log(f'Fetching the disc image "{shown(url)}"')
        with http_client() as client:

            def job(stop: Stop) -> None:
                fetcher = Fetcher(client=client, build=build, stop=stop)
                if not fetcher.persist(url, lambda: _append(fetcher, url, target, build)):
                    raise fetcher.failed(url, "the server answered 404")

            side_by_side([job], cancellation=build.tools.cancellation, threads=1)
        target.flush()

    def _sum(self, path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.install.checksum_type or "sha256").hexdigest()

    def _refused(self) -> VerificationError:
        msg = (
            f'The disc image "{shown(self.install.url)}" does not have the '
            f"{self.install.checksum_type} that its checksum file gives"
        )
        return VerificationError(msg, hint="Try again, or fetch it from another mirror")


def _append(fetcher: Fetcher, url: str, target: BinaryIO, build: Build) -> bool:
    """Try to bring the rest; False when there is nothing behind the URL.

    The last byte is asked for again: a server refuses a range that begins where the file ends.
    """
    come = max(target.seek(0, 2) - 1, 0)
    target.truncate(come)
    with fetcher.open(url, offset=come) as response:
        if response.status_code in {404, 410}:
            return False
        if response.status_code != 206:
            target.truncate(0)
            come = 0
        rest = int(response.headers.get("content-length", 0))
        demand_room(Path(target.name).parent, rest)
        whole = come + rest
        for piece in response.iter_raw():
            fetcher.stop.check()
            target.write(piece)
            come += len(piece)
            if whole:
                build.report(min(_COME, _COME * come // whole))
    return True
