"""Takes the digest of a disk while the last steps of its build only look at it."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from imagefactory.store.bodies import measured
from imagefactory.store.rows import Body


class Measuring:
    """The digest of one disk: a SHA-256 goes over its holes too, which takes longer than to write the rest."""

    def __init__(self, disk: Path, cleanup: ExitStack) -> None:
        self._disk = disk
        self._cleanup = cleanup
        self._begun: tuple[Future[Body], int] | None = None

    def begin(self) -> None:
        """The disk is finished: begin, unless that has been done."""
        if self._begun is None and self._disk.exists():
            pool = self._cleanup.enter_context(ThreadPoolExecutor(1))
            written = self._disk.stat().st_mtime_ns
            self._begun = pool.submit(self._measure), written

    def result(self) -> Body | None:
        """What was found; None when nobody has begun, or somebody has written to the disk since."""
        if self._begun is None:
            return None
        future, written = self._begun
        body = future.result()
        return body if self._disk.stat().st_mtime_ns == written else None

    def _measure(self) -> Body:
        with self._disk.open("rb") as file:
            return measured(file)
