"""Holds an image against what its build has recorded of it: the digest of its body, and its documents."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagefactory.builds import provenance
from imagefactory.builds.workshop import Workshop
from imagefactory.core.attestation import Envelope
from imagefactory.core.errors import FactoryError, NotFound
from imagefactory.core.images import Image, ProviderImage
from imagefactory.core.inventory import Inventory
from imagefactory.core.lock import Lock
from imagefactory.core.verdict import BODY, SIGNATURE, Finding, Verdict
from imagefactory.engine import inventory
from imagefactory.engine.bills import CYCLONEDX, SPDX
from imagefactory.engine.packages import locked
from imagefactory.store.signing import Signer

_IMAGE: Final = "urn:uuid:"
#: what a document that is damaged makes its reader raise
_DAMAGED: Final = (FactoryError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Looks at the images of a factory."""

    workshop: Workshop

    def image(self, image_id: str) -> Verdict:
        """Everything that can be said of an image; `NotFound` when there is none with this id."""
        image = self.workshop.store.image(image_id)
        return Verdict(findings=(self._body(image), *self._records(image)))

    def file(self, sha256: str) -> Verdict:
        """The same for a body that lies somewhere else; `NotFound` when it is that of no image here."""
        image_id = self.workshop.store.image_of_body(sha256)
        if image_id is None:
            msg = f'No image here has a body with the SHA-256 "{sha256}"'
            raise NotFound(msg, hint="It was changed, or comes from another factory")
        found = Finding(subject=BODY, fine=True, detail=f"is that of {image_id}")
        image = self.workshop.store.image(image_id)
        return Verdict(findings=(found, *self._records(image)))

    def _records(self, image: Image) -> Iterator[Finding]:
        folder = self.workshop.config.artifacts / image.id
        yield from self._provenance(image, folder)
        if not isinstance(image, ProviderImage):
            yield from self._documents(folder)

    def _body(self, image: Image) -> Finding:
        known = self.workshop.store.body(image.id)
        if known is None:
            return Finding(subject=BODY, fine=None, detail="none is recorded")

        def check() -> str:
            found = self.workshop.bodies.measure(image.id)
            if found != known:
                msg = f"has {found.size} bytes with SHA-256 {found.sha256}, not {known.sha256}"
                raise ValueError(msg)
            return f"SHA-256 {found.sha256}"

        return _looked(BODY, check)

    def _provenance(self, image: Image, folder: Path) -> Iterator[Finding]:
        """Whether this factory has signed what is said of the image, and whether that is so."""
        path = folder / provenance.NAME
        if not path.is_file():
            for subject in (SIGNATURE, path.name):
                yield Finding(subject=subject, fine=None, detail="the build has left none")
            return
        config = self.workshop.config
        signer = Signer.open(config.state, own=config.signing_key)

        def signature() -> str:
            envelope = Envelope.loads(path.read_text("utf-8"))
            ours = [each for each in envelope.signatures if each.keyid == signer.keyid]
            if not ours:
                keys = " and ".join(f'"{each.keyid}"' for each in envelope.signatures) or "no key"
                msg = f'is of {keys}, not of this factory\'s key "{signer.keyid}"'
                raise ValueError(msg)
            given = (base64.b64decode(each.sig, validate=True) for each in ours)
            if not any(signer.has_signed(envelope.signed(), each) for each in given):
                msg = "does not fit what is said: it was changed"
                raise ValueError(msg)
            return f"of the key {signer.keyid}"

        def statement() -> str:
            said = Envelope.loads(path.read_text("utf-8")).statement()
            return self._said(image, folder, said)

        yield _looked(SIGNATURE, signature)
        yield _looked(path.name, statement)

    def _said(self, image: Image, folder: Path, statement: Mapping[str, Any]) -> str:
        """How much a statement says that is so; `ValueError` for what is not."""
        predicate = statement["predicate"]
        [subject] = statement["subject"]
        sources = predicate["buildDefinition"]["resolvedDependencies"]
        known = self.workshop.store.body(
            image.parent_id or image.id if isinstance(image, ProviderImage) else image.id
        )
        if known is not None and subject["digest"]["sha256"] != known.sha256:
            msg = f"is about another body, with SHA-256 {subject['digest']['sha256']}"
            raise ValueError(msg)
        for source in sources:
            parent = source.get("uri", "").removeprefix(_IMAGE)
            made_from = self.workshop.store.body(parent) if parent != source.get("uri") else None
            if made_from is not None and source["digest"]["sha256"] != made_from.sha256:
                msg = f'says that it is made from another body than that of "{parent}"'
                raise ValueError(msg)
        there = {each.name: each.sha256 for each in provenance.beside(folder)}
        for each in predicate["runDetails"]["byproducts"]:
            if there.get(each["name"]) != each["digest"]["sha256"]:
                msg = f'has another digest for "{each["name"]}", which was changed or removed'
                raise ValueError(msg)
        return f"made from {len(sources)} things, {len(there)} files beside it"

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
