"""What a boot has shown."""

from dataclasses import asdict, dataclass
from typing import Any

from imagefactory.engine.boot.accelerator import Accelerator
from imagefactory.engine.boot.firmware import Firmware


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command in the guest wrote, standard error included, and how it ended."""

    command: str
    status: int
    output: str


@dataclass(frozen=True, kw_only=True)
class BootReport:
    """A disk that came up. Times are seconds since the machine was switched on; None is "not seen".

    A kernel that boots with `quiet` shows neither itself nor systemd.
    """

    firmware: Firmware
    accelerator: Accelerator
    kernel: float | None
    systemd: float | None
    target: float | None  #: multi-user or graphical
    login: float | None
    off: float | None  #: how long a clean power-off took, when it was asked for
    commands: tuple[CommandResult, ...] = ()
    console: tuple[str, ...] = ()  #: the last lines, cleaned

    @property
    def up(self) -> float:
        """When it was up: its prompt was there, or its default target reached."""
        return next(seen for seen in (self.login, self.target) if seen is not None)

    def facts(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)
