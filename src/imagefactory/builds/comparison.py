"""Compares images by what their builds have left of them."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from imagefactory.core.diff import Compared, Facts, difference
from imagefactory.core.errors import StoreError
from imagefactory.core.images import Image
from imagefactory.core.inventory import Inventory
from imagefactory.core.lock import Lock
from imagefactory.engine import inventory
from imagefactory.engine.packages import locked
from imagefactory.store.database import Store

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The records of all images; `artifacts` has a folder for each."""

    store: Store
    artifacts: Path

    def __call__(self, old: Image, new: Image) -> Facts:
        """How they differ; `StoreError` when a record is damaged."""
        return difference(self._compared(old), self._compared(new))

    def _compared(self, image: Image) -> Compared:
        body = self.store.body(image.id)
        lock, contents = (self._file(image, name) for name in (locked.NAME, inventory.NAME))
        return Compared(
            id=image.id,
            size=None if body is None else body.size,
            lock=None if lock is None else Lock.loads(lock.read_text("utf-8")),
            inventory=None if contents is None else _inventory(contents),
        )

    def _file(self, image: Image, name: str) -> Path | None:
        """The record of an image, or of what it was made from without being changed inside."""
        origin: Image | None = image
        while origin is not None:
            path = self.artifacts / origin.id / name
            if path.is_file():
                return path
            origin = self.store.get(origin.parent_id) if origin.parent_id else None
        return None


def _inventory(path: Path) -> Inventory:
    try:
        return Inventory.loads(gzip.decompress(path.read_bytes()).decode())
    except (OSError, EOFError, UnicodeDecodeError) as error:
        msg = f'The inventory "{path}" is damaged: {error}'
        raise StoreError(msg) from error
