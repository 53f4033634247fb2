"""What a run of the command line leaves for whoever called it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


@contextmanager
def started(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose outputs are read, killed at the end if it has not ended by itself."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()
