"""What a run of the command line leaves for whoever called it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Exit status and outputs."""

    status: int
    out: str
    err: str


class Run(Protocol):
    """Runs a command line."""

    def __call__(self, *argv: str | Path) -> Outcome: ...
