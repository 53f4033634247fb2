"""The figures as tables that people read, in plain text that is also Markdown."""

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.efforts import Effort
from benchmarks.rows import Row
from benchmarks.served import Served

_MIB: Final = 1 << 20

Phases = Mapping[str, float]


def of_builds(builds: Mapping[str, Phases]) -> str:
    """Where the time of each build went, in seconds and in percent of the whole."""
    head = ["phase", *(word for name in builds for word in (f"{name}, s", "%"))]
    totals = {name: sum(phases.values()) for name, phases in builds.items()}
    rows = [
        [name, *(word for build in builds for word in _share(builds[build], name, totals[build]))]
        for name in dict.fromkeys(name for phases in builds.values() for name in phases)
    ]
    rows.append(["all", *(word for total in totals.values() for word in (f"{total:.1f}", "100"))])
    return _table(head, rows)


def of_efforts(efforts: Mapping[str, Effort | str]) -> str:
    """What each program needed, or why it did not work."""
    head = ["", "s", "s of processor", "MiB written", "MiB of memory"]
    rows = [
        [name, effort, "", "", ""] if isinstance(effort, str) else [name, *_effort(effort)]
        for name, effort in efforts.items()
    ]
    return _table(head, rows)


def of_rows(rows: Sequence[Row]) -> str:
    """What is promised, and what was measured."""
    head = ["work", "ours", "theirs", "whose", "floor", "ratio", "at most", "holds"]
    head += ["size", "MiB of memory"]
    return _table(head, list(map(_row, rows)))


def _row(row: Row) -> list[str]:
    one = row.theirs is None
    return [
        row.work,
        f"{row.ours:.2f} {row.unit}",
        "" if row.theirs is None else f"{row.theirs:.2f} {row.unit}",
        row.against,
        "" if row.floor is None else f"{row.floor:.2f} {row.unit}",
        "" if one else f"{row.measured:.3f}",
        f"{row.limit:g} {row.unit}" if one else f"{row.limit:g}",
        "yes" if row.holds else "NO",
        "" if row.larger is None else f"{row.larger:.2f}",
        "" if row.memory is None else f"{row.memory:.0f}",
    ]


def of_requests(served: Sequence[Served], *, scanned: Mapping[str, float]) -> str:
    """How long clients waited, in milliseconds, and the original's way for one client alone."""
    head = ["request", "pace", "answers/s", "median, ms", "p99, ms", "worst, ms"]
    head += ["daemon's CPU, ms", "clients' CPU, ms"]
    rows = [
        [
            one.request,
            one.pace,
            f"{one.rate:.0f}",
            *(f"{1000 * wait:.1f}" for wait in (one.median, one.p99, one.worst)),
            *(f"{1000 * cpu:.2f}" for cpu in (one.server_cpu, one.client_cpu)),
        ]
        for one in served
    ]
    for request, seconds in scanned.items():
        ways = [request, "scan", f"{1 / seconds:.2f}", f"{1000 * seconds:.0f}"]
        rows.append([*ways, *[""] * (len(head) - len(ways))])
    return _table(head, rows)


def of_program(*, start: float, peak: float, help: float) -> str:
    """What the programs need to begin."""
    rows = [
        ["daemon answers after, s", f"{start:.2f}"],
        ["daemon's memory, MiB", f"{peak / _MIB:.0f}"],
        ["imagefactory --help, s", f"{help:.2f}"],
    ]
    return _table(["program", ""], rows)


def _share(phases: Phases, name: str, total: float) -> tuple[str, str]:
    seconds = phases.get(name, 0.0)
    return f"{seconds:.1f}", f"{100 * seconds / total:.0f}"


def _effort(effort: Effort) -> tuple[str, ...]:
    figures = effort.size / _MIB, effort.peak / _MIB
    return f"{effort.seconds:.2f}", f"{effort.cpu:.2f}", *(f"{figure:.0f}" for figure in figures)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * (width - 1) + ":" for width in widths], *rows]
    return "".join(
        "| " + " | ".join(word.rjust(w) for word, w in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )
