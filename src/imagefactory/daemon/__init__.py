"""The daemon `imagefactoryd`."""

from imagefactory.daemon.program import main

__all__ = ["main"]
