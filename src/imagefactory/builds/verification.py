"""Holds an image against what its build has recorded of it: the digest of its body, and its documents."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagefactory.builds.workshop import Workshop
from imagefactory.core.errors import FactoryError, NotFound
from imagefactory.core.images import Image
from imagefactory.core.inventory import Inventory
from imagefactory.core.lock import Lock
from imagefactory.engine import inventory
from imagefactory.engine.bills import CYCLONEDX, SPDX
from imagefactory.engine.packages import locked
from imagefactory.store.rows import Body

#: what a document that is damaged makes its reader raise
_DAMAGED: Final = (FactoryError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look has found; `fine` is None where the build has left nothing to look at."""

    subject: str
    fine: bool | None
    detail: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Looks at the images of a factory."""

    workshop: Workshop

    def image(self, image_id: str) -> tuple[Finding, ...]:
        """Everything that can be said of an image; `NotFound` when there is none with this id."""
        image = self.workshop.store.image(image_id)
        return (self._body(image), *self._documents(self.workshop.config.artifacts / image.id))

    def file(self, body: Body) -> tuple[Finding, ...]:
        """The same for a body that lies somewhere else; `NotFound` when it is that of no image here."""
        for image in self.workshop.store.list():
            if self.workshop.store.body(image.id) == body:
                found = Finding(subject="body", fine=True, detail=f"is that of {image.id}")
                return (found, *self._documents(self.workshop.config.artifacts / image.id))
        msg = f'No image here has a body with the SHA-256 "{body.sha256}"'
        raise NotFound(msg, hint="It was changed, or comes from another factory")

    def _body(self, image: Image) -> Finding:
        known = self.workshop.store.body(image.id)
        if known is None:
            return Finding(subject="body", fine=None, detail="none is recorded")

        def check() -> str:
            found = self.workshop.bodies.measure(image.id)
            if found != known:
                msg = f"has {found.size} bytes with SHA-256 {found.sha256}, not {known.sha256}"
                raise ValueError(msg)
            return f"SHA-256 {found.sha256}"

        return _looked("body", check)

    def _documents(self, folder: Path) -> Iterator[Finding]:
        """The lock can be read, each file has one digest, and both bills name the same packages."""

        def lock() -> str:
            return f"{len(Lock.loads((folder / locked.NAME).read_text('utf-8')).packages)} packages"

        def spdx() -> str:
            files = _digests(_document(folder / SPDX))
            known = _inventory(folder / inventory.NAME).files
            wrong = [
                path
                for path, digest in files.items()
                if path not in known or known[path].sha256 != digest
            ]
            if wrong:
                msg = f'has another digest for "{min(wrong)}" than the inventory'
                raise ValueError(msg)
            return f"{len(files)} files as in the inventory"

        def cyclonedx() -> str:
            here, there = (
                _packages(_document(folder / CYCLONEDX)),
                _packages(_document(folder / SPDX)),
            )
            if other := here ^ there:
                msg = f'disagrees with {SPDX} about "{min(other)}"'
                raise ValueError(msg)
            return f"{len(here)} packages as in {SPDX}"

        for name, check in ((locked.NAME, lock), (SPDX, spdx), (CYCLONEDX, cyclonedx)):
            if (folder / name).is_file():
                yield _looked(name, check)
            else:
                yield Finding(subject=name, fine=None, detail="the build has left none")


def _looked(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject=subject, fine=True, detail=check())
    except _DAMAGED as error:
        return Finding(subject=subject, fine=False, detail=str(error))


def _document(path: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _inventory(path: Path) -> Inventory:
    return Inventory.loads(gzip.decompress(path.read_bytes()).decode())


def _digests(spdx: Mapping[str, Any]) -> Mapping[str, str]:
    return {
        file["fileName"].removeprefix("."): entry["checksumValue"]
        for file in spdx["files"]
        for entry in file["checksums"]
        if entry["algorithm"] == "SHA256"
    }


def _packages(bill: Mapping[str, Any]) -> AbstractSet[str]:
    """The package URLs in a bill of either kind."""
    if "components" in bill:
        return {component["purl"] for component in bill["components"]}
    return {
        reference["referenceLocator"]
        for package in bill["packages"]
        for reference in package.get("externalRefs", ())
        if reference["referenceType"] == "purl"
    }
