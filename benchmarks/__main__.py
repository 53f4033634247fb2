"""Measures what is named, or all of it: `python -m benchmarks [--runs N] [PART…]`."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from benchmarks import api, builds, cold, formats, others, rebuilds, targets
from imagefactory.core.errors import FactoryError

_PARTS: Final[Mapping[str, Callable[[int], None]]] = {
    "cold": cold.measure,
    "others": others.measure,
    "formats": formats.measure,
    "rebuilds": rebuilds.measure,
    "targets": targets.measure,
    "phases": builds.measure,
    "api": api.measure,
}


def main() -> int:
    """Measure, print tables, keep the figures; a part that cannot be measured here is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(_PARTS))
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each program")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in _PARTS]:
        parser.error(f'"{unknown[0]}" is no part; there are {", ".join(_PARTS)}')
    # What is installed has its bytecode beside it, and is not compiled at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    failed = False
    for part in options.parts or _PARTS:
        try:
            _PARTS[part](options.runs)
        except FactoryError as error:
            hint = f"\n  {error.hint}" if error.hint else ""
            sys.stderr.write(f"make bench: {part}: {error}{hint}\n")
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
