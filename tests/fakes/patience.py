"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable

from imagefactory.builds.factory import Factory
from imagefactory.core.images import Image


def until(condition: Callable[[], object], *, seconds: float = 30) -> float:
    """Wait until something is so; gives the seconds that it took, or fails."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - began


def settled(factory: Factory, image_id: str, *, seconds: float = 600) -> Image:
    """The image once no worker will touch it any more."""
    until(
        lambda: factory.find(image_id) is None or _found(factory, image_id).settled, seconds=seconds
    )
    return _found(factory, image_id)


def _found(factory: Factory, image_id: str) -> Image:
    image = factory.find(image_id)
    assert image is not None, "the image is gone"
    return image
