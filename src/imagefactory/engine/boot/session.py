"""A machine that is switched on, and all that is done to it until it is off."""

import time
from dataclasses import dataclass, field
from typing import Final

from imagefactory.engine.boot.accelerator import Emulator
from imagefactory.engine.boot.report import BootReport, CommandResult
from imagefactory.engine.boot.request import Boot
from imagefactory.engine.boot.screen import Controls
from imagefactory.engine.boot.shell import Shell
from imagefactory.engine.boot.trial import Trial
from imagefactory.engine.command import Tools

_PROMPT_SECONDS: Final = 15.0  # it comes 1.5 s after the target under TCG; many systems show none
_OFF_SECONDS: Final = 180.0  # takes 5 s under TCG; systemd gives each service 90 s
_LOGIN_SECONDS: Final = 240.0  # takes 3 s under TCG


@dataclass(kw_only=True)
class Session:
    """A machine that is switched on, with all that is done to it."""

    what: Boot
    tools: Tools
    emulator: Emulator
    trial: Trial
    shell: Shell
    controls: Controls
    _told: set[str] = field(default_factory=set)

    def come_up(self) -> None:
        """Wait until the system is up; when systemd says so, a little longer for the prompt."""
        login = self.trial.stages["login"]
        enough = {"login"} if self.what.login else {"login", "target"}

        def up() -> bool | None:
            self._tell()
            return bool(enough & self._told) or None

        def prompt() -> bool | None:
            self._tell()
            return login.seen or None

        failing = "did not reach a login prompt"
        self.trial.wait(up, seconds=self.what.timeout, failing=failing)
        self.trial.wait_for_a_while(prompt, seconds=_PROMPT_SECONDS, failing=failing)

    def _tell(self) -> None:
        for name, watch in self.trial.stages.items():
            if watch.seen and name not in self._told:
                self._told.add(name)
                self.what.watch(name)

    def take_screenshot(self) -> None:
        """Put what the screen shows into a PNG file; a boot does not fail for the want of it."""
        if self.what.screenshot is not None:
            self.controls.take_picture(self.what.screenshot, log=self.tools.log)

    def run_commands(self) -> tuple[CommandResult, ...]:
        """Log in, if anybody shall, and run what is asked for, one after the other."""
        if self.what.login is None:
            return ()
        self.shell.log_in(self.what.login, seconds=_LOGIN_SECONDS)
        seconds = self.what.run_timeout or self.what.timeout
        return tuple(self.shell.run(line, seconds=seconds) for line in self.what.run)

    def switch_off(self) -> float:
        """End the system cleanly; how many seconds it took."""
        started = time.monotonic()
        if self.what.login is None:
            _, button = self.controls.monitor.command("system_powerdown")
            self.controls.wire.send(button)
        else:
            self.shell.switch_off()
        machine = self.trial.running
        self.trial.wait(
            lambda: machine.exit_status == 0 or None,
            seconds=_OFF_SECONDS,
            failing="did not switch off",
        )
        machine.wait(lambda: None, seconds=_OFF_SECONDS)  # its last words
        return round(time.monotonic() - started, 2)

    def report(self, results: tuple[CommandResult, ...], off: float | None) -> BootReport:
        """All that was seen."""
        seconds = {name: watch.seconds for name, watch in self.trial.stages.items()}
        return BootReport(
            firmware=self.what.firmware,
            accelerator=self.emulator.accelerator,
            **seconds,
            off=off,
            commands=results,
            console=self.trial.console.tail,
        )
