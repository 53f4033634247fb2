"""A statement of provenance says what SLSA wants to hear, and an envelope that is damaged is told."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from imagefactory.core.attestation import Digested, Envelope, Provenance, Signature
from imagefactory.core.errors import VerificationError

PROVENANCE = Provenance(
    subject=Digested(name="1.body", sha256="ab" * 32),
    asked={"image": "base_image", "template": "<template/>", "parameters": {}},
    steps=("00-Resolve", "01-Fetch"),
    sources=(
        Digested(name="dash 1 amd64", uri="http://mirror.example.org/dash", sha256="cd" * 32),
    ),
    beside=(Digested(name="lock.json", sha256="ef" * 32),),
    builder="0123",
    versions={"imagefactory": "1"},
    invocation="1",
    asked_at=datetime(2025, 1, 31, 9, 41, 27, tzinfo=UTC),
    finished_at=datetime(2025, 1, 31, 9, 42, tzinfo=UTC),
)


def test_a_statement_has_the_keys_of_the_specifications() -> None:
    assert PROVENANCE.statement() == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "1.body", "digest": {"sha256": "ab" * 32}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:imagefactory:build:v1",
                "externalParameters": {
                    "image": "base_image", "template": "<template/>", "parameters": {},
                },
                "internalParameters": {"steps": ["00-Resolve", "01-Fetch"]},
                "resolvedDependencies": [
                    {
                        "name": "dash 1 amd64",
                        "uri": "http://mirror.example.org/dash",
                        "digest": {"sha256": "cd" * 32},
                    }
                ],
            },
            "runDetails": {
                "builder": {
                    "id": "urn:imagefactory:builder:0123", "version": {"imagefactory": "1"},
                },
                "metadata": {
                    "invocationId": "1",
                    "startedOn": "2025-01-31T09:41:27Z",
                    "finishedOn": "2025-01-31T09:42:00Z",
                },
                "byproducts": [{"name": "lock.json", "digest": {"sha256": "ef" * 32}}],
            },
        },
    }  # fmt: skip


def envelope(**changes: Any) -> str:
    whole = Envelope(
        payload=json.dumps(PROVENANCE.statement()).encode(),
        signatures=(Signature(keyid="0123", sig="c2ln"),),
    )
    return json.dumps({**json.loads(whole.dumps()), **changes})


def test_an_envelope_is_read_as_it_was_written() -> None:
    read = Envelope.loads(envelope())
    assert read.statement() == PROVENANCE.statement()
    assert json.loads(read.dumps()) == json.loads(envelope())


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "nonsense", envelope(payload="?"), envelope(payloadType="text/plain"),
        envelope(signatures=[{"sig": 1, "key": 2}]), envelope(signatures=None),
        envelope(payload="e30="), envelope(payload="W10="),
    ],
)  # fmt: skip
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(VerificationError, match="The provenance cannot be read"):
        Envelope.loads(text).statement()
