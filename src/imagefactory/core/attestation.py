"""Statements about how an image was made, and the envelopes in which they are signed.

A statement is in-toto's (Statement v1) with the predicate of SLSA (Provenance v1); an envelope is a DSSE v1.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from imagefactory.core.errors import VerificationError

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:imagefactory:build:v1"
_BUILDER: Final = "urn:imagefactory:builder:"


@dataclass(frozen=True, kw_only=True)
class Digested:
    """A thing that is known by its bytes."""

    name: str
    sha256: str  #: 64 lower-case hex digits
    uri: str | None = None  #: where it comes from

    def described(self) -> dict[str, Any]:
        """As in-toto's ResourceDescriptor."""
        uri = {} if self.uri is None else {"uri": self.uri}
        return {"name": self.name, **uri, "digest": {"sha256": self.sha256}}


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What is said of one build. Nothing in it is secret."""

    subject: Digested
    asked: Mapping[str, Any]  #: what the client has said
    steps: tuple[str, ...]  #: what was done, in order
    sources: tuple[Digested, ...]  #: what went into it
    beside: tuple[Digested, ...]  #: what else the build has left
    builder: str  #: the id of the key of the factory
    versions: Mapping[str, str]  #: of the programs that have built
    invocation: str  #: the id of the image
    asked_at: datetime
    finished_at: datetime

    def statement(self) -> dict[str, Any]:
        """The in-toto statement, as JSON has it."""
        definition = {
            "buildType": BUILD_TYPE,
            "externalParameters": dict(self.asked),
            "internalParameters": {"steps": list(self.steps)},
            "resolvedDependencies": _described(self.sources),
        }
        details = {
            "builder": {"id": f"{_BUILDER}{self.builder}", "version": dict(self.versions)},
            "metadata": {
                "invocationId": self.invocation,
                "startedOn": _moment(self.asked_at),
                "finishedOn": _moment(self.finished_at),
            },
            "byproducts": _described(self.beside),
        }
        return {
            "_type": STATEMENT,
            "subject": _described([self.subject]),
            "predicateType": PREDICATE,
            "predicate": {"buildDefinition": definition, "runDetails": details},
        }


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature of an envelope."""

    keyid: str
    sig: str  #: base64


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A signed document."""

    payload: bytes
    signatures: tuple[Signature, ...]

    def signed(self) -> bytes:
        """The bytes that the signatures are over."""
        return pre_authentication(self.payload)

    def dumps(self) -> str:
        """The envelope as JSON."""
        content = {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [asdict(signature) for signature in self.signatures],
        }
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def loads(cls, text: str) -> Self:
        """The envelope that `dumps` wrote; `VerificationError` when it is something else."""
        try:
            content = json.loads(text)
            if content["payloadType"] != PAYLOAD_TYPE:
                raise _damaged("its payload is of another type")
            return cls(
                payload=base64.b64decode(content["payload"], validate=True),
                signatures=tuple(Signature(**each) for each in content["signatures"]),
            )
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise _damaged("it is no envelope of DSSE") from error

    def statement(self) -> Mapping[str, Any]:
        """What is said; `VerificationError` unless it is a statement about provenance."""
        try:
            statement: Mapping[str, Any] = json.loads(self.payload)
            known = (statement["_type"], statement["predicateType"]) == (STATEMENT, PREDICATE)
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged("it holds no statement") from error
        if not known:
            raise _damaged("it holds a statement of another kind")
        return statement


def pre_authentication(payload: bytes) -> bytes:
    """DSSE's encoding of a payload and its type, which is what is signed."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _described(things: Iterable[Digested]) -> list[dict[str, Any]]:
    return [thing.described() for thing in things]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _damaged(why: str) -> VerificationError:
    return VerificationError(f"The provenance cannot be read: {why}")
