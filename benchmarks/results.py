"""Where the figures go: a file of each part for programs, and one of all for people."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import tables
from benchmarks.rows import Row

_FOLDER: Final = Path(__file__).parent / "results"
_LATEST: Final = "latest"


def machine() -> dict[str, Any]:
    """The machine, and how busy it is now."""
    return {
        "processors": os.cpu_count(),
        "processor": _processor(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kind": platform.machine(),
        "kernel": platform.release(),
        "load before": round(os.getloadavg()[0], 2),
    }


def keep(name: str, figures: Mapping[str, Any], *, text: str, rows: Sequence[Row] = ()) -> None:
    """Write the figures of a part, show them, and put those of all parts together in `latest`."""
    _FOLDER.mkdir(exist_ok=True)
    if rows:
        text = f"{text}\n{tables.of_rows(rows)}"
    content = {**figures, "rows": [row.facts() for row in rows], "text": text}
    (_FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (_FOLDER / f"{name}.md").write_text(text)
    sys.stdout.write(f"{text}\n")
    _put_together()


def _put_together() -> None:
    parts = {
        path.stem: json.loads(path.read_text())
        for path in sorted(_FOLDER.glob("*.json"))
        if path.stem != _LATEST
    }
    texts = [f"## {name}\n\n{part['text']}" for name, part in parts.items()]
    (_FOLDER / f"{_LATEST}.json").write_text(json.dumps(parts, indent=1) + "\n")
    (_FOLDER / f"{_LATEST}.md").write_text("\n".join(["# Latest figures\n", *texts]))


def _processor() -> str:
    names = (
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    return next(names, "").partition(":")[2].strip()
