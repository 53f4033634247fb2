"""Repeats a request to a cloud whose fault may pass, with back-off, jitter and one deadline a push."""

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

#: RFC 9110 and RFC 6585: timeout, too many requests, and faults of a server or of one on the way
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_FIRST: Final = 0.5  # seconds that the first pause lasts at most; each later one twice as long
_LONGEST: Final = 20.0  # seconds
_LOOK: Final = 0.25  # seconds between two looks at whether somebody wants to stop


class Retry:
    """The patience of one push; clouds make one for each, and turn their SDK's own retries off.

    The deadline starts with the first fault and is set back by every success, whichever request of the
    push it was: so an upload may take hours, and a dead server is given up after `seconds`. Threads of
    one push share it.
    """

    def __init__(
        self,
        *,
        faults: tuple[type[Exception], ...],
        pause: Callable[[Exception], float | None],
        proceed: Callable[[], object] = lambda: None,
        seconds: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`pause` gives the least seconds to wait after one of `faults`, None for one that stays.

        `proceed` is called before every try and while waiting, and raises to stop. `chance` is a
        number from 0 to 1.
        """
        self._faults = faults
        self._pause = pause
        self._proceed = proceed
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._lock = threading.Lock()
        self._ends: float | None = None

    def __call__(self, action: Callable[[], T]) -> T:
        """What the action returns, in the end; the fault itself when it stays, or stays too long."""
        longest = _FIRST
        while True:
            self._proceed()
            try:
                result = action()
            except self._faults as error:
                least = self._pause(error)
                if least is None or not self._wait(max(least, longest * self._chance())):
                    raise
                log.info("Trying again after %s", type(error).__name__)
                longest = min(2 * longest, _LONGEST)
            else:
                with self._lock:
                    self._ends = None
                return result

    def until(
        self, look: Callable[[], T | None], *, seconds: float, period: float = 2.0
    ) -> T | None:
        """What `look` gives as soon as that is not None, tried like an action; None after `seconds`."""
        ends = self._clock() + seconds
        while (found := self(look)) is None and self._clock() + period < ends:
            self._rest(period)
        return found

    def _wait(self, seconds: float) -> bool:
        """Sleep so long; False, at once, when the deadline would have passed then."""
        now = self._clock()
        with self._lock:
            self._ends = now + self._seconds if self._ends is None else self._ends
            if now + seconds > self._ends:
                return False
        self._rest(seconds)
        return True

    def _rest(self, seconds: float) -> None:
        while seconds > 0:
            self._proceed()
            self._sleep(min(seconds, _LOOK))
            seconds -= _LOOK


def pause_after(status: int, retry_after: str | None = None) -> float | None:
    """The least seconds to wait after an HTTP answer (RFC 9110, 10.2.3); None: asking again is vain."""
    if status not in _PASSING:
        return None
    text = (retry_after or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
