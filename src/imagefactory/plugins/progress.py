"""Tells how far a push is, so that it never falls when a part is sent again."""

from imagefactory.engine.plan import Report


class Progress:
    """A push's progress in bytes."""

    def __init__(self, report: Report, *, size: int) -> None:
        self._report = report
        self._size = max(size, 1)
        self._percent = 0

    def __call__(self, done: int, activity: str | None = None) -> None:
        """So many bytes are there. Raises `Cancelled` when the build is to stop."""
        self._percent = max(self._percent, min(100 * done // self._size, 100))
        self._report(self._percent, activity)

    def proceed(self) -> None:
        """Raises `Cancelled` when the build is to stop; nothing has come further."""
        self._report(self._percent)
