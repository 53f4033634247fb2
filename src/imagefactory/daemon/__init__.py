"""The daemon `imagefactoryd`."""

import gc
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    # What is imported and made at the start stays, so that looking through it for garbage only delays
    # that. Once it serves, the program turns the collector on.
    gc.disable()
    from imagefactory.daemon import program  # noqa: PLC0415

    return program.main(argv)
