"""Ready-made images of clouds, from the files that the configuration lists (key `jeos_config`)."""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import Response

from imagefactory.web.negotiation import Negotiated
from imagefactory.web.site import Here

log: Final = logging.getLogger(__name__)

_PATH: Final = 5  #: target:provider:os:version:arch lead to an image
_FIELDS: Final = 8  #: and image_id[:user[:cmd_prefix]] describe it


def list_sources(site: Here, answer: Negotiated) -> Response:
    """Lists the configured files and folders, by their place in the configuration."""
    sources = {str(place): path for place, path in enumerate(site.config.jeos_config)}
    return answer(sources, root="jeos")


def list_images(site: Here, answer: Negotiated) -> Response:
    """The images by target, provider, system, version and architecture."""
    images: dict[str, Any] = {}
    for source in site.config.jeos_config:
        for line in _lines(source):
            _add(images, line)
    return answer(images, root="jeos")


def show_image(image_id: str) -> Response:  # noqa: ARG001 - part of the path
    """Not implemented, as in the original."""
    return Response(status_code=HTTPStatus.NOT_IMPLEMENTED)


def _lines(source: str) -> Iterator[str]:
    """The lines of a file, or of all files in a folder; a URL is not asked: only builders fetch."""
    path = Path(source)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if not file.is_file():
            continue
        try:
            text = file.read_text("utf-8", errors="replace")
        except OSError as error:
            log.warning("The JEOS file %s cannot be read: %s", file, error.strerror)
            continue
        yield from text.splitlines()


def _add(images: dict[str, Any], line: str) -> None:
    fields = [field.strip() for field in line.split(":", _FIELDS - 1)]
    if line.lstrip().startswith("#") or len(fields) <= _PATH:
        return
    *path, last = fields[:_PATH]
    place = images
    for word in path:
        place = place.setdefault(word, {})
    image_id, user, prefix = [*fields[_PATH:], None, None][:3]
    place[last] = {"img_id": image_id, "user": user, "cmd_prefix": prefix}
