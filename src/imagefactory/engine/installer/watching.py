"""Looks after an installer: which phase it is in, whether it is idle, asks something or has failed."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from imagefactory.core.errors import BootError
from imagefactory.engine.boot.console import Console, Watch, quote
from imagefactory.engine.boot.trial import BROKEN
from imagefactory.engine.installer.activity import Activity

Phase = Literal["start", "prepare", "install"]

#: what has been seen when a phase has begun, in their order
DESCRIBED: Final[Mapping[Phase, str]] = {
    "start": "nothing",
    "prepare": "the installer's kernel",
    "install": "bytes written to the disk",
}

#: What is said by installers when somebody should answer. Nobody will.
ASKING: Final = re.compile(
    r"""
    Prompt:\ '\?'\ for\ help                              # Debian, on a terminal
    | Please\ make\ (?:a|your)\ (?:selection|choice)\ from # Anaconda
    | Press\ (?:ENTER|enter)\ to\ continue
    | Pane\ is\ dead | An\ unknown\ error\ has\ occurred   # Anaconda, after a failure
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long an installation may take, in seconds."""

    start: float = 300.0  #: until the kernel says something
    prepare: float = 1800.0  #: from then until the disk is written to
    install: float = 3600.0  #: in all
    inactivity: float = 300.0  #: without disk, network or anything new on the console

    def of(self, phase: Phase) -> float:
        """When the phase must be over, in seconds after the machine was switched on."""
        match phase:
            case "start":
                return min(self.start, self.install)
            case "prepare":
                return min(self.start + self.prepare, self.install)
            case "install":
                return self.install


@dataclass(kw_only=True)
class Overseer:
    """Judges what is known of an installer; raises `BootError` when it makes no more sense to wait."""

    name: str  #: of the system, for messages
    limits: Limits
    console: Console
    activity: Activity
    entered: Callable[[Phase], None]
    clock: Callable[[], float] = time.monotonic
    phase: Phase = "start"
    asking: Watch = field(init=False)
    broken: Watch = field(init=False)
    _started: float = 0.0

    def __post_init__(self) -> None:
        """Watch the console from its beginning."""
        self.asking = self.console.watch(ASKING)
        self.broken = self.console.watch(BROKEN)

    def start(self) -> None:
        """The machine has been switched on."""
        self._started = self.clock()
        self.activity.start()

    def look(self) -> None:
        """Judge once more."""
        self.activity.hear(self.console.tail)
        self._advance()
        if self.broken.seen:
            raise self.failed(f"failed: the console says {self._quoted(self.broken)}")
        if self.asking.seen:
            raise self.failed(f"asks a question: the console says {self._quoted(self.asking)}")
        limit = self.limits.inactivity
        if self.activity.idle > limit:
            # Clients of the original look for these very words, and for those below.
            raise BootError(
                f"No disk activity in {limit:.0f} seconds, failing.  {self._where}", tail=self._tail
            )
        if self.clock() - self._started > self.limits.of(self.phase):
            raise BootError(
                f"Timed out waiting for install to finish.  {self._where}", tail=self._tail
            )

    def failed(self, what: str) -> BootError:
        """The error for an installer that has ended, or never will."""
        return BootError(f'The installer of "{self.name}" {what}', tail=self._tail)

    def _advance(self) -> None:
        if self.phase == "start" and self.console.tail:
            self._enter("prepare")
        if self.phase == "prepare" and self.activity.counted("written"):
            self._enter("install")

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.entered(phase)

    def _quoted(self, watch: Watch) -> str:
        return f'"{quote([*list(watch.before)[-3:], watch.line or ""])}"'

    @property
    def _where(self) -> str:
        said = self.console.tail[-3:]
        last = f'the console ended with "{quote(said)}"' if said else "the console stayed silent"
        return (
            f'The installer of "{self.name}" was last seen in the phase "{self.phase}", and {last}'
        )

    @property
    def _tail(self) -> str:
        return "\n".join(self.console.tail)
