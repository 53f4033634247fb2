"""Keeps figures where they can be compared with later ones, with the machine that they are from."""

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """The machine, and how busy it is now."""
    return {
        "processors": os.cpu_count(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kind": platform.machine(),
        "load before": round(os.getloadavg()[0], 2),
    }


def keep(name: str, figures: Mapping[str, Any], *, text: str) -> None:
    """Write figures for programs and for people, and show the latter."""
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    (_FOLDER / f"{name}.md").write_text(text)
    sys.stdout.write(text)
