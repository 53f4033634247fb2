"""Trying again, with a clock that a test turns."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from imagefactory.plugins.retry import Retry, pause_after


class Busy(Exception):
    """A fault that may pass."""

    def __init__(self, pause: float | None = 0.0) -> None:
        super().__init__("busy")
        self.pause = pause


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def a_retry(
    clock: Clock, *, proceed: Callable[[], None] = lambda: None, chance: float = 1
) -> Retry:
    return Retry(
        faults=(Busy,),
        pause=lambda error: error.pause if isinstance(error, Busy) else None,
        proceed=proceed,
        seconds=60,
        clock=lambda: clock.now,
        sleep=clock.sleep,
        chance=lambda: chance,
    )


def failing(faults: Sequence[Exception]) -> Callable[[], str]:
    """An action that raises these in turn, and then succeeds."""
    left = list(faults)

    def action() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return action


def test_the_pauses_double_up_to_a_longest() -> None:
    clock, passed = Clock(), []

    def proceed() -> None:
        passed.append(clock.now - 1000)

    retry = a_retry(clock, proceed=proceed)
    assert retry(failing([Busy()] * 6)) == "done"
    assert clock.now - 1000 == 0.5 + 1 + 2 + 4 + 8 + 16
    assert max(clock.slept) == 0.25
    assert len(passed) == len(clock.slept) + 7


def test_chance_makes_a_pause_shorter_but_not_than_the_server_wants() -> None:
    clock = Clock()
    retry = a_retry(clock, chance=0.5)
    retry(failing([Busy()]))
    assert clock.now == 1000.25
    retry(failing([Busy(pause=7)]))
    assert clock.now == 1007.25


@pytest.mark.parametrize("fault", [Busy(pause=None), ValueError("a bug")])
def test_what_stays_is_raised_at_once(fault: Exception) -> None:
    clock = Clock()
    with pytest.raises(type(fault)) as raised:
        a_retry(clock)(failing([fault]))
    assert raised.value is fault
    assert clock.slept == []


def test_a_dead_server_is_given_up_at_the_deadline() -> None:
    clock = Clock()
    with pytest.raises(Busy):
        a_retry(clock)(failing([Busy()] * 100))
    assert 30 < clock.now - 1000 <= 60


def test_a_server_that_wants_more_time_than_there_is_is_given_up_at_once() -> None:
    clock = Clock()
    with pytest.raises(Busy):
        a_retry(clock)(failing([Busy(pause=61)]))
    assert clock.slept == []


def test_one_deadline_holds_for_all_requests_until_one_succeeds() -> None:
    clock = Clock()
    retry = a_retry(clock)
    with pytest.raises(Busy):
        retry(failing([Busy(pause=50), Busy(pause=50)]))
    with pytest.raises(Busy):
        retry(failing([Busy(pause=50)]))
    retry(failing([]))
    assert retry(failing([Busy(pause=50)])) == "done"


def test_waiting_ends_when_somebody_wants_to_stop() -> None:
    clock = Clock()

    def proceed() -> None:
        if clock.now > 1003:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        a_retry(clock, proceed=proceed)(failing([Busy(pause=30)]))
    assert clock.now <= 1003.5


def test_waiting_for_something_asks_again_and_again() -> None:
    clock, found = Clock(), [None, None, "ready"]
    retry = a_retry(clock)
    assert retry.until(lambda: found.pop(0), seconds=60, period=5) == "ready"
    assert clock.now == 1010
    assert retry.until(lambda: None, seconds=60, period=5) is None
    assert clock.now <= 1070


def test_threads_share_one_retry() -> None:
    clock, lock = Clock(), threading.Lock()
    retry = Retry(
        faults=(Busy,), pause=lambda _error: 0.0, clock=lambda: clock.now, sleep=lambda _s: None
    )
    done: list[str] = []

    def one(_number: int) -> None:
        result = retry(failing([Busy()] * 3))
        with lock:
            done.append(result)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(100)))
    assert done == ["done"] * 100


def test_statuses_that_pass() -> None:
    assert [pause_after(status) for status in (408, 429, 500, 502, 503, 504)] == [0.0] * 6
    assert [pause_after(status) for status in (200, 307, 400, 401, 403, 404, 409, 501)] == [
        None
    ] * 8


def test_retry_after_is_seconds_or_a_date() -> None:
    assert pause_after(429, " 17 ") == 17.0
    assert pause_after(503, "soon") == 0.0
    assert pause_after(404, "17") is None
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 85 < (pause_after(503, later) or 0) <= 90
    assert pause_after(503, "Fri, 31 Dec 1999 23:59:59 GMT") == 0.0
