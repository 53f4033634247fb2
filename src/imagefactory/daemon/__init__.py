"""The daemon `imagefactoryd`."""

import gc
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    # What is imported stays, so that looking through it for garbage only delays the start, by a tenth.
    gc.disable()
    from imagefactory.daemon import program  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    return program.main(argv)
