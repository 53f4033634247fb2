"""Waiting for an image while showing how far it is."""

import sys
import time
from typing import Final

from imagefactory.builds.factory import Factory
from imagefactory.core.images import Image

_PERIOD: Final = 0.2  # seconds between looks at the record


def follow(factory: Factory, image_id: str, *, shown: bool) -> Image:
    """Wait until no worker has the image; show its progress on standard error."""
    last: tuple[int, str] | None = None
    on_terminal = sys.stderr.isatty()
    while True:
        image = factory.find(image_id)
        if image is None:
            msg = f'The image "{image_id}" vanished while it was being built'
            raise LookupError(msg)
        state = image.percent, image.activity
        if shown and state != last and (on_terminal or last is None or last[1] != state[1]):
            _show(image, on_terminal=on_terminal)
            last = state
        if image.settled:
            if on_terminal and shown:
                sys.stderr.write("\n")
            return image
        time.sleep(_PERIOD)


def _show(image: Image, *, on_terminal: bool) -> None:
    line = f"{image.percent:3d} % {image.activity}"
    sys.stderr.write(f"\r\033[K{line}" if on_terminal else f"{line}\n")
    sys.stderr.flush()
