"""A login on the console of a machine, and commands whose output comes back whole."""

import re
import secrets
import shlex
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from imagefactory.engine.boot.report import CommandResult
from imagefactory.engine.boot.request import Login
from imagefactory.engine.boot.running import Wire
from imagefactory.engine.boot.trial import Trial

OUTPUT_LIMIT: Final = 4 << 20  #: bytes of one command's output that are kept, the last ones
_PATIENCE: Final = 20.0  # seconds until what was typed is typed again: a login may flush its input
_OVERLAP: Final = 64  # bytes; an end of a command is shorter

#: in any language: what is asked after the name, and is not the name again
_PASSWORD: Final = re.compile(r"\w\s?(?<!login): ?$")
_PROMPT: Final = re.compile(r"[#$%>] ?$")
_REFUSED: Final = re.compile(r"Login incorrect|Authentication failure")


@dataclass(kw_only=True)
class Answers:
    """Takes what the guest's shell writes to its port, and finds the ends of commands in it."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))
    limit: int = OUTPUT_LIMIT
    _received: bytearray = field(default_factory=bytearray)
    _ended: deque[tuple[str, int]] = field(default_factory=deque)

    @property
    def ending(self) -> str:
        """The shell's words that end a command's output with the token and the exit status."""
        return f"printf '\\n{self.token} %d\\n' $?"

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        start = max(0, len(self._received) - _OVERLAP)
        self._received += data
        pattern = re.compile(rf"\n{self.token} (\d+)\n".encode())
        while (found := pattern.search(self._received, start)) is not None:
            output = bytes(self._received[: found.start()])[-self.limit :]
            self._ended.append((output.decode(errors="replace"), int(found[1])))
            del self._received[: found.end()]
            start = 0
        if len(self._received) > 2 * self.limit:
            del self._received[: -self.limit]

    def take(self) -> tuple[str, int] | None:
        """The output and exit status of the command that has ended, once."""
        return self._ended.popleft() if self._ended else None


@dataclass(kw_only=True)
class Shell:
    """Types on the first serial port, and runs commands over the second.

    The kernel and systemd write to the console whenever they like; the second port carries nothing but
    what commands write, so that their output is exact.
    """

    trial: Trial
    keyboard: Wire  #: the console's
    port: Wire  #: the second serial port's
    device: str  #: where the guest sees that port
    answers: Answers

    def log_in(self, login: Login, *, seconds: float) -> None:
        """Log in at the prompt that the console shows, and start a shell on the port; `BootError`."""
        console = self.trial.console
        asked = console.watch(_PASSWORD)
        self.keyboard.send(f"{login.user}\n".encode())
        failing = f'did not ask for the password of "{login.user}"'
        self.trial.wait(lambda: asked.seen or None, seconds=seconds, failing=failing)
        refused, no_port = console.watch(_REFUSED), console.watch(re.compile(rf"{self.device}: \S"))
        prompt = console.watch(_PROMPT)
        self.keyboard.send(f"{login.password.reveal()}\n".encode())
        failing = f'gave no shell to "{login.user}"'
        self.trial.wait_for_a_while(
            lambda: prompt.seen or refused.seen or None, seconds=_PATIENCE, failing=failing
        )
        for _ in range(max(1, round(seconds / _PATIENCE))):
            if refused.seen:
                raise self.trial.failed(f'refused the password of "{login.user}"')
            self.keyboard.send(self._starter())
            started = self.trial.wait_for_a_while(
                lambda: self.answers.take() or no_port.seen or None,
                seconds=_PATIENCE,
                failing=failing,
            )
            if no_port.seen:
                raise self.trial.failed(f'does not let "{login.user}" open "{self.device}"')
            if started is not None:
                return
        raise self.trial.failed(f"{failing} in {seconds:.0f} s")

    def run(self, command: str, *, seconds: float) -> CommandResult:
        """Run a command by `sh -c`, its input empty; `BootError` when it does not end."""
        words = (
            f"{{ sh -c {shlex.quote(command)} </dev/null 2>&1; {self.answers.ending}; }} | cat\n"
        )
        self.port.send(words.encode())
        failing = f'did not finish the command "{command}"'
        output, status = self.trial.wait(self.answers.take, seconds=seconds, failing=failing)
        return CommandResult(command=command, status=status, output=output)

    def switch_off(self) -> None:
        """Ask the system for its clean end."""
        self.port.send(b"poweroff\n")

    def _starter(self) -> bytes:
        """What is typed at the prompt: a shell without one, that reads and writes the second port.

        It must not take itself for interactive, so its standard error is no terminal.
        """
        port = f"exec <{self.device} >{self.device} 2>/dev/null"
        script = f"{port} && stty raw -echo && {self.answers.ending} && exec sh"
        return f"exec sh -c {shlex.quote(script)}\n".encode()
