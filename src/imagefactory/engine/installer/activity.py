"""Whether an installer still does anything: it reads or writes, it loads, or it says something new."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

_DIGITS: Final = re.compile(r"\d+")
_KEPT: Final = 10_000  # different lines; an installer says some thousands


@dataclass(kw_only=True)
class Activity:
    """Takes the counters of a machine and the lines of its console, and knows how long nothing came.

    A line that differs from an earlier one in its numbers alone is nothing new: many installers show a
    clock, and would seem busy for ever.
    """

    clock: Callable[[], float] = time.monotonic
    _last: float = 0.0
    _counters: dict[str, int] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def start(self) -> None:
        """Nothing has come yet, from now on."""
        self._last = self.clock()

    def count(self, name: str, value: int) -> None:
        """Take a counter of bytes, such as those that were written to the disk."""
        if value != self._counters.get(name, 0):
            self._counters[name] = value
            self._last = self.clock()

    def hear(self, lines: Sequence[str]) -> None:
        """Take the last lines of the console; those that were taken before do no harm."""
        new = {_DIGITS.sub("", line) for line in lines} - self._said
        if new and len(self._said) < _KEPT:
            self._said |= new
            self._last = self.clock()

    def counted(self, name: str) -> int:
        """The last value of a counter."""
        return self._counters.get(name, 0)

    @property
    def idle(self) -> float:
        """Seconds since something came."""
        return self.clock() - self._last
