"""Threads that ask together."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from imagefactory.core.errors import Cancelled
from imagefactory.engine.threads import Asking, Turns


def patient() -> None:
    """Nobody stops it."""


def test_what_several_ask_at_once_is_found_once_and_later_anew() -> None:
    asking: Asking[str, int] = Asking()
    found: list[int] = []
    go = threading.Event()

    def find() -> int:
        go.wait(10)
        found.append(len(found))
        return found[-1]

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(asking.ask, "key", find, check=patient) for _ in range(4)]
        time.sleep(0.2)
        go.set()
        assert [answer.result(10) for answer in answers] == [0, 0, 0, 0]
    assert asking.ask("key", find, check=patient) == 1


def test_who_is_cancelled_leaves_the_others_to_find_out_themselves() -> None:
    asking: Asking[str, int] = Asking()
    begun, go = threading.Event(), threading.Event()

    def cancelled() -> int:
        begun.set()
        go.wait(10)
        raise Cancelled("The build was cancelled")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(asking.ask, "key", cancelled, check=patient)
        begun.wait(10)
        second = pool.submit(asking.ask, "key", lambda: 7, check=patient)
        time.sleep(0.2)
        go.set()
        assert second.result(10) == 7
        with pytest.raises(Cancelled):
            first.result(10)


def test_who_waits_can_be_cancelled() -> None:
    asking: Asking[str, int] = Asking()
    begun, go = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        return int(go.wait(10))

    def stop() -> None:
        raise Cancelled("The build was cancelled")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asking.ask, "key", slow, check=patient)
        begun.wait(10)
        with pytest.raises(Cancelled):
            asking.ask("key", slow, check=stop)
        go.set()
        assert first.result(10) == 1


def test_turns_are_taken_one_after_another_and_waiting_for_one_can_be_cancelled() -> None:
    turns, at_once, most = Turns(), [0], [0]

    def stop() -> None:
        raise Cancelled("The build was cancelled")

    def take() -> None:
        with turns.wait(check=patient):
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            time.sleep(0.02)
            at_once[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        for turn in [pool.submit(take) for _ in range(4)]:
            turn.result(10)
    assert most == [1]
    with turns.wait(check=patient), ThreadPoolExecutor(1) as pool:
        late = pool.submit(lambda: turns.wait(check=stop).__enter__())
        with pytest.raises(Cancelled):
            late.result(10)
    take()
