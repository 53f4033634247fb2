"""Runs several jobs side by side, and stops waiting for them when one fails or the build is cancelled."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from imagefactory.core.errors import Cancelled
from imagefactory.engine.command import Cancellation

T = TypeVar("T")
K = TypeVar("K")

TICK: Final = 0.1  #: seconds between looks at whether to stop


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Tells jobs that their results are no longer waited for."""

    cancellation: Cancellation
    _event: threading.Event = field(default_factory=threading.Event)

    def request(self) -> None:
        """Ask all jobs to end."""
        self._event.set()

    def check(self) -> None:
        """Raise `Cancelled` when the job is to end."""
        self.cancellation.check()
        if self._event.is_set():
            msg = "Another of the jobs has failed"
            raise Cancelled(msg)

    def sleep(self, seconds: float) -> None:
        """Sleep, unless the job is to end."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.check()
            time.sleep(min(TICK, left))


def side_by_side(
    jobs: Sequence[Callable[[Stop], T]],
    *,
    cancellation: Cancellation,
    threads: int,
    watch: Callable[[], None] = lambda: None,
) -> list[T]:
    """The results of all jobs, in their order; the first exception is raised at once.

    A job that blocks is not waited for: it ends by itself, at its next look at its `Stop`. `watch` is
    called now and then from this thread.
    """
    stop = Stop(cancellation=cancellation)
    pool = ThreadPoolExecutor(max_workers=threads)
    try:
        futures = [pool.submit(job, stop) for job in jobs]
        pending: set[Future[T]] = set(futures)
        while pending:
            done, pending = wait(pending, timeout=TICK, return_when=FIRST_EXCEPTION)
            cancellation.check()
            watch()
            for future in done:
                future.result()
        return [future.result() for future in futures]
    finally:
        stop.request()
        pool.shutdown(wait=False, cancel_futures=True)


class Turns:
    """Lets one thread at a time do what needs much memory, and the interpreter for itself anyway."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def wait(self, *, check: Callable[[], None]) -> Iterator[None]:
        """This thread's turn; `check` raises when waiting is to end."""
        while not self._lock.acquire(timeout=TICK):
            check()
        try:
            yield
        finally:
            self._lock.release()


class Asking(Generic[K, T]):
    """What several threads want to know at the same time is found out once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[K, Future[T]] = {}

    def ask(self, key: K, find: Callable[[], T], *, check: Callable[[], None]) -> T:
        """What `find` gives, or another thread's that is at it; `check` raises when waiting is to end."""
        with self._lock:
            theirs = self._asked.get(key)
            mine: Future[T] = Future()
            if theirs is None:
                self._asked[key] = mine
        if theirs is not None:
            while not wait([theirs], timeout=TICK).done:
                check()
            # Who failed may have been cancelled, which is no answer to us.
            return find() if theirs.exception() else theirs.result()
        try:
            mine.set_result(find())
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._asked[key]
        return mine.result()
