"""Measures what is named, or all of it: `python -m benchmarks [api] [builds]`."""

import argparse
import sys
from typing import Final

from benchmarks import api, builds
from imagefactory.core.errors import FactoryError

_AREAS: Final = {"api": api.measure, "builds": builds.measure}


def main() -> int:
    """Measure, print tables, keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("areas", nargs="*", metavar="AREA", choices=[[], *_AREAS])
    try:
        for area in parser.parse_args().areas or _AREAS:
            _AREAS[area]()
    except FactoryError as error:
        sys.stderr.write(f"make bench: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
