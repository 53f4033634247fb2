"""The figures as tables that people read, in plain text that is also Markdown."""

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.formats import Comparison, Effort

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


def of_formats(compared: Sequence[Comparison]) -> str:
    """Ours and qemu-img's, and how they compare."""
    head = ["format", "", "s", "MiB written", "MiB of memory"]
    rows = []
    for row in compared:
        rows.append([row.format, "ours", *_effort(row.ours)])
        rows.append(["", "qemu-img", *_effort(row.peer)])
        rows.append(["", "ratio", *_ratios(row.ours, row.peer)])
    return _table(head, rows)


def _share(phases: Phases, name: str, total: float) -> tuple[str, str]:
    seconds = phases.get(name, 0.0)
    return f"{seconds:.1f}", f"{100 * seconds / total:.0f}"


def _effort(effort: Effort) -> tuple[str, str, str]:
    return f"{effort.seconds:.2f}", f"{effort.size / _MIB:.0f}", f"{effort.peak / _MIB:.0f}"


def _ratios(ours: Effort, peer: Effort) -> tuple[str, str, str]:
    pairs = (ours.seconds, peer.seconds), (ours.size, peer.size), (ours.peak, peer.peak)
    first, second, third = (f"{mine / theirs:.2f}" for mine, theirs in pairs)
    return first, second, third


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * (width - 1) + ":" for width in widths], *rows]
    return "".join(
        "| " + " | ".join(word.rjust(w) for word, w in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )
