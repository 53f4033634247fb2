"""Takes over an original store: `.meta` and `.body` files that the database does not know."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from imagefactory.core.errors import StoreError
from imagefactory.core.images import Image, ProviderImage, Status, TargetImage
from imagefactory.store.bodies import Bodies
from imagefactory.store.database import Store
from imagefactory.store.files import alone
from imagefactory.store.meta import loads

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What a start has taken over, and what it could not read."""

    images: tuple[Image, ...] = ()
    refused: tuple[str, ...] = ()  #: one sentence for each file, which names it


def import_original(store: Store, bodies: Bodies) -> Imported:
    """Record every image that only the folder knows. No body is touched and no file is removed.

    Safe to run at every start: what has a row is not looked at.
    """
    with alone(bodies.folder):
        read = [_read(path) for path in _unknown(store, bodies.folder)]
        found = {image.id: image for image in read if isinstance(image, Image)}
        images = tuple(_related(image, found, store) for image in _oldest_first(found.values()))
        store.add(*images)
    for image in images:
        if image.status in {Status.FAILED, Status.DELETEFAILED}:
            bodies.describe(image)
    refused = tuple(refusal for refusal in read if isinstance(refusal, str))
    for refusal in refused:
        log.warning("%s", refusal)
    if images:
        log.info("Imported %d images from %s", len(images), bodies.folder)
    return Imported(images=images, refused=refused)


def _unknown(store: Store, folder: Path) -> list[Path]:
    """The `.meta` files of images without a row."""
    # The folder before the rows: a row comes before its file and goes after it, also while we look.
    with os.scandir(folder) as entries:
        described = {
            entry.name.removesuffix(".meta") for entry in entries if entry.name.endswith(".meta")
        }
    return [folder / f"{id}.meta" for id in sorted(described - store.ids())]


def _oldest_first(images: Iterable[Image]) -> list[Image]:
    return sorted(images, key=lambda image: (image.created, image.id))


def _read(path: Path) -> Image | str | None:
    """The image in a file, or why there is none; nothing when the file has just gone."""
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        image = loads(path.read_text("utf-8"), name=str(path), written=written)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        return f'The file "{path}" cannot be read: {error}'
    except StoreError as error:
        return str(error)
    if image.id != path.stem:
        return f'The file "{path}" is damaged: it describes the image "{image.id}"'
    return image


def _related(image: Image, found: dict[str, Image], store: Store) -> Image:
    """An image that knows what it is made from, if that still exists."""
    if image.parent_id is None:
        return image
    parent = found.get(image.parent_id) or store.get(image.parent_id)
    match image, parent:
        case ProviderImage(), TargetImage(target=target):
            return replace(image, target=target)
        case ProviderImage(), _:
            return replace(image, target_image_id=None)
        case TargetImage(), None:
            return replace(image, base_image_id=None)
        case _:
            return image
