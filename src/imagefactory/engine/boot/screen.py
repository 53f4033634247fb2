"""The screen of a machine as a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from imagefactory.core.errors import BuildError
from imagefactory.engine.boot.qmp import Monitor
from imagefactory.engine.boot.running import Running, Wire
from imagefactory.engine.files import write_atomically

_SECONDS: Final = 20.0  # takes 10 ms on a quiet host


@dataclass(frozen=True, kw_only=True)
class Controls:
    """The monitor of a machine that runs, and a file that QEMU has for pictures."""

    running: Running
    monitor: Monitor
    wire: Wire
    screen: IO[bytes]

    def ask(self, command: str, **arguments: object) -> dict[str, Any] | None:
        """What the monitor answers: it has a `return` or an `error`; None when it is silent."""
        ticket, words = self.monitor.command(command, **arguments)
        self.wire.send(words)
        return self.running.wait(lambda: self.monitor.answer(ticket), seconds=_SECONDS)

    def take_picture(self, target: Path, *, log: Callable[[str], None]) -> None:
        """Put what the screen shows into a PNG file; nothing fails for the want of it."""
        if self.running.exit_status is not None:
            return
        name = f"/proc/self/fd/{self.screen.fileno()}"
        answer = self.ask("screendump", filename=name, format="png")
        if answer is None or "error" in answer:
            log(f"There is no screenshot, QEMU answered {answer}")
            return
        self.screen.seek(0)
        try:
            write_atomically(target, self.screen.read())
        except OSError as error:
            msg = f'The screenshot "{target}" cannot be written: {error.strerror}'
            raise BuildError(msg) from error
