"""Waits for a lock that another build may hold, ready to be stopped meanwhile."""

import fcntl
import time
from collections.abc import Callable
from typing import Final

_TICK: Final = 0.1  # seconds between tries


def wait_for_lock(handle: int, *, check: Callable[[], None]) -> None:
    """Lock an open file for ourselves alone (flock(2)); `check` raises when waiting is to end."""
    while True:
        check()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TICK)
        else:
            return
