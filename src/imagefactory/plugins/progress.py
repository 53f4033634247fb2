"""Tells how far a push is, so that it never falls when a part is sent again."""

import threading

from imagefactory.engine.plan import Report


class Progress:
    """A push's progress in bytes, which its threads share."""

    def __init__(self, report: Report, *, size: int) -> None:
        self._report = report
        self._size = max(size, 1)
        self._percent = 0
        self._lock = threading.Lock()

    def __call__(self, done: int, activity: str | None = None) -> None:
        """So many bytes are there. Raises `Cancelled` when the build is to stop."""
        with self._lock:
            self._percent = max(self._percent, min(100 * done // self._size, 100))
            self._report(self._percent, activity)

    def proceed(self) -> None:
        """Raises `Cancelled` when the build is to stop; nothing has come further."""
        with self._lock:
            self._report(self._percent)
