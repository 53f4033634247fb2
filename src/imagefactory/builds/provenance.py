"""Writes down how an image was made, and signs it."""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagefactory import __version__
from imagefactory.builds.artifacts import listed
from imagefactory.builds.events import LOG
from imagefactory.builds.planner import pushed_by
from imagefactory.builds.workshop import Workshop
from imagefactory.core.attestation import (
    Digested,
    Envelope,
    Provenance,
    Signature,
    pre_authentication,
)
from imagefactory.core.images import Image, ProviderImage, TargetImage, now
from imagefactory.core.lock import Lock
from imagefactory.core.masking import masked, masked_text
from imagefactory.core.redaction import redacted
from imagefactory.engine.files import write_atomically
from imagefactory.engine.packages import locked
from imagefactory.engine.plan import Build, Plan, names
from imagefactory.engine.program import program_digest
from imagefactory.store.rows import Body
from imagefactory.store.signing import Signer

NAME: Final = "provenance.json"  #: among the artifacts


@dataclass(frozen=True, kw_only=True)
class Notary:
    """Vouches for one image that is whole, before it is called COMPLETE."""

    workshop: Workshop
    image: Image

    def attest(self, build: Build, plan: Plan) -> None:
        """Leave a signed statement of provenance; none where the bytes are made by somebody else.

        A build that goes on after a crash writes it anew.
        """
        subject = self._subject(build)
        if subject is None:
            return
        config = self.workshop.config
        signer = Signer.open(config.state, own=config.signing_key)
        provenance = Provenance(
            subject=subject,
            asked=self._asked(),
            steps=tuple(names(plan)),
            sources=tuple(self._sources(build.artifacts)),
            beside=tuple(beside(build.artifacts)),
            builder=signer.keyid,
            versions={"imagefactory": __version__, "engine": program_digest()},
            invocation=self.image.id,
            asked_at=self.image.created,
            finished_at=now(),
        )
        envelope = signed(provenance, signer)
        write_atomically(build.artifacts / NAME, envelope.dumps())

    def _subject(self, build: Build) -> Digested | None:
        """The body; of a provider image what was pushed, under the provider's name for it."""
        if isinstance(self.image, ProviderImage):
            body, name = self._parent_body(), pushed_by(build).identifier
        else:
            body, name = self.workshop.store.body(self.image.id), f"{self.image.id}.body"
        return None if body is None else Digested(name=name, sha256=body.sha256)

    def _asked(self) -> dict[str, Any]:
        """What the client has said, without its passwords."""
        image = self.image
        asked: dict[str, Any] = {"image": image.noun}
        if image.template is not None:
            asked["template"] = redacted(image.template)
        if isinstance(image, TargetImage | ProviderImage):
            asked["target"] = image.target
        if isinstance(image, ProviderImage):
            asked["provider"] = masked_text(image.provider)
        return {**asked, "parameters": masked(image.parameters)}

    def _sources(self, artifacts: Path) -> Iterator[Digested]:
        """The image that it is made from, and the packages of its lock."""
        if (body := self._parent_body()) is not None:
            uri = f"urn:uuid:{self.image.parent_id}"
            yield Digested(name=f"{self.image.parent_id}.body", uri=uri, sha256=body.sha256)
        lock = artifacts / locked.NAME
        if lock.exists():
            for package in Lock.loads(lock.read_text("utf-8")).packages:
                name = f"{package.name} {package.version} {package.arch}"
                yield Digested(name=name, uri=masked_text(package.url), sha256=package.sha256)

    def _parent_body(self) -> Body | None:
        parent = self.image.parent_id
        return None if parent is None else self.workshop.store.body(parent)


def beside(artifacts: Path) -> Iterator[Digested]:
    """The files that a build has left beside an image, whose log may still grow."""
    for artifact in listed(artifacts):
        if artifact.name not in {LOG, NAME}:
            content = Path(artifact.location).read_bytes()
            yield Digested(name=artifact.name, sha256=hashlib.sha256(content).hexdigest())


def signed(provenance: Provenance, signer: Signer) -> Envelope:
    """The statement in an envelope with one signature."""
    payload = json.dumps(provenance.statement(), ensure_ascii=False).encode()
    signature = base64.b64encode(signer.sign(pre_authentication(payload))).decode()
    return Envelope(payload=payload, signatures=(Signature(keyid=signer.keyid, sig=signature),))
