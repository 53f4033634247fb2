"""What a program needs: its time, what it has written and its memory, of several runs."""

import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.errors import BuildError

RUNS: Final = 3
_LAST: Final = 40  # lines of what a program said, in which its error is looked for
_LONGEST: Final = 200  # characters of a line
_ERROR: Final = re.compile(r"\b(?:error|failed|failure|cannot|not found)\b", re.IGNORECASE)

Command = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What one program needs: medians of all runs, the most memory of any."""

    seconds: float
    cpu: float  #: seconds of the processors, its ended children's too: what a busy machine changes less
    size: int  #: bytes that it wrote
    peak: int  #: bytes of memory, all its processes together


@dataclass(frozen=True, kw_only=True)
class Work:
    """A program that is run several times."""

    name: str
    command: Command
    written: tuple[Path, ...] = ()  #: its files, which are removed before each run
    prepare: Callable[[], None] = lambda: None  #: what is done before each run, and not measured
    log: Path | None = None  #: for what it says


def once(work: Work) -> Effort:
    """One run; `BuildError` with its last words when it fails."""
    for path in work.written:
        path.unlink(missing_ok=True)
    work.prepare()
    with (
        tempfile.NamedTemporaryFile() as told,
        (work.log or Path(tempfile.gettempdir(), "imagefactory-bench.log")).open("wb+") as log,
    ):
        program = [sys.executable, "-m", "benchmarks.measure", told.name, *work.command]
        status = subprocess.run(
            program, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
        if status.returncode:
            log.seek(0)
            words = _complaint(log.read().decode(errors="replace"))
            msg = f'"{work.name}" ended with {status.returncode} and said: {words}'
            raise BuildError(msg)
        measured = json.loads(Path(told.name).read_text())
    size = sum(path.stat().st_blocks * 512 for path in work.written if path.exists())
    return Effort(**measured, size=size)


def _complaint(said: str) -> str:
    """The first line with an error of the last ones, or the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()][-_LAST:]
    return next(filter(_ERROR.search, lines), lines[-1] if lines else "nothing")[:_LONGEST]


def in_turn(works: Sequence[Work], *, runs: int = RUNS) -> list[Effort]:
    """Each program once, and all again: what a machine does beside hits them alike."""
    efforts: list[list[Effort]] = [[] for _ in works]
    for _run in range(runs):
        for work, kept in zip(works, efforts, strict=True):
            kept.append(once(work))
    return list(map(usual, efforts))


def usual(runs: Sequence[Effort]) -> Effort:
    """The median of the time, the most memory."""
    return Effort(
        seconds=statistics.median(run.seconds for run in runs),
        cpu=statistics.median(run.cpu for run in runs),
        size=runs[-1].size,
        peak=max(run.peak for run in runs),
    )
