"""What a build tells while it runs: its progress to the store, everything to its log."""

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from imagefactory.engine.command import Cancellation
from imagefactory.store.database import Store

LOG: Final = "log"  #: the name of the log among an image's artifacts
_PERIOD: Final = 0.5  #: seconds between two records of a percentage


class BuildLog:
    """The log of one image: a file that grows by whole lines, each with the time in UTC.

    On a full disk lines are lost: a build must be able to say why it failed, and to clean up.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __call__(self, text: str) -> None:
        """Write a line, or several. What comes after the end of the block is lost."""
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        lines = "".join(f"{moment}Z {line}\n" for line in text.splitlines())
        with self._lock, suppress(OSError):
            if self._file is not None:
                self._file.write(lines.encode(errors="replace"))


class Reporter:
    """`engine.plan.Report` of one build, which may be called from any thread, as often as one likes.

    The image's row and an event are written at most twice a second, and whenever the activity changes.
    Raises `Cancelled` when the build is to stop: for some steps this is the only chance to say so.
    """

    def __init__(
        self, image_id: str, *, store: Store, log: BuildLog, cancellation: Cancellation
    ) -> None:
        self._image_id = image_id
        self._store = store
        self._log = log
        self._cancellation = cancellation
        self._lock = threading.Lock()
        self._told: tuple[int, str | None] = (-1, None)
        self._when = 0.0

    def __call__(self, percent: int, activity: str | None = None) -> None:
        self._cancellation.check()
        with self._lock:
            known, doing = self._told
            now = time.monotonic()
            if activity in {None, doing} and (percent <= known or now < self._when + _PERIOD):
                return
            if activity not in {None, doing}:
                self._log(f"== {activity}")
            self._told = max(known, percent), activity or doing
            self._when = now
            self._store.report(self._image_id, percent, activity)
