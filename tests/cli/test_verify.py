"""An image that was changed after its build is told from one that was not."""

import gzip
import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from fakes.program import Run
from imagefactory.core.attestation import Envelope
from imagefactory.core.inventory import Entry, Inventory

DIGEST: Final = "ab" * 32
PURL: Final = "pkg:deb/debian/dash@1"


@pytest.fixture
def built(run: Run, mock_template: Path) -> dict[str, Any]:
    """A base image."""
    found: dict[str, Any] = json.loads(run("--output", "json", "base_image", mock_template).out)
    return found


def found(run: Run, image: object) -> dict[str, bool | None]:
    """What is said of each thing; the exit status fits."""
    outcome = run("--output", "json", "verify", str(image))
    shown = json.loads(outcome.out)
    assert outcome.status == (0 if shown["fine"] else 1)
    return {each["subject"]: each["fine"] for each in shown["findings"]}


def described(state: Path, image_id: str, *, digest: str = DIGEST, package: str = PURL) -> None:
    """Leave the documents of a system with one file and one package."""
    folder = state / "artifacts" / image_id
    entry = Entry(type="f", mode="755", owner="0:0", size=1, sha256=DIGEST)
    listed = Inventory(kernel_arguments=(), files={"/bin/sh": entry}).dumps()
    (folder / "inventory.json.gz").write_bytes(gzip.compress(listed.encode()))
    reference = {"referenceType": "purl", "referenceLocator": PURL}
    checksum = {"algorithm": "SHA256", "checksumValue": digest}
    spdx = {
        "packages": [{"name": "system"}, {"externalRefs": [reference]}],
        "files": [{"fileName": "./bin/sh", "checksums": [checksum]}],
    }
    (folder / "spdx.json").write_text(json.dumps(spdx))
    (folder / "cyclonedx.json").write_text(json.dumps({"components": [{"purl": package}]}))


def test_a_body_is_what_was_sealed_until_a_byte_is_changed(
    run: Run, built: dict[str, Any], tmp_path: Path
) -> None:
    body = Path(built["data"])
    copy = tmp_path / "copy"
    copy.write_bytes(body.read_bytes())
    assert found(run, built["identifier"])["body"] is True
    assert found(run, copy)["body"] is True
    content = bytearray(body.read_bytes())
    content[0] ^= 1
    body.write_bytes(content)
    assert found(run, built["identifier"])["body"] is False
    copy.write_bytes(content)
    outcome = run("verify", copy)
    assert outcome.status == 1
    assert "No image here has a body with the SHA-256" in outcome.err
    body.unlink()
    assert found(run, built["identifier"])["body"] is False


def test_documents_have_to_agree(run: Run, state: Path, built: dict[str, Any]) -> None:
    image_id = built["identifier"]
    assert found(run, image_id) == {
        "body": True, "signature": True, "provenance.json": True,
        "lock.json": None, "spdx.json": None, "cyclonedx.json": None,
    }  # fmt: skip
    described(state, image_id)
    assert (found(run, image_id)["spdx.json"], found(run, image_id)["cyclonedx.json"]) == (
        True,
        True,
    )
    described(state, image_id, digest="cd" * 32)
    assert found(run, image_id)["spdx.json"] is False
    described(state, image_id, package="pkg:deb/debian/evil@1")
    assert found(run, image_id)["cyclonedx.json"] is False
    (state / "artifacts" / image_id / "lock.json").write_text("{")
    assert found(run, image_id)["lock.json"] is False
    assert 'WRONG  cyclonedx.json: disagrees with spdx.json about "' in run("verify", image_id).out


def test_what_is_said_of_an_image_is_signed(run: Run, state: Path, built: dict[str, Any]) -> None:
    image_id = built["identifier"]
    path = state / "artifacts" / image_id / "provenance.json"
    made = path.read_text()
    envelope = Envelope.loads(made)
    said = json.loads(envelope.payload)
    said["predicate"]["runDetails"]["metadata"]["invocationId"] = "another"
    path.write_text(replace(envelope, payload=json.dumps(said).encode()).dumps())
    assert found(run, image_id)["signature"] is False
    assert "WRONG  signature: does not fit what is said" in run("verify", image_id).out
    path.write_text("{}")
    assert found(run, image_id)["provenance.json"] is False
    path.write_text(made)
    assert run("verify", image_id).status == 0
    (state / "signing.key").unlink()
    assert (
        f'WRONG  signature: is of "{envelope.signatures[0].keyid}"' in run("verify", image_id).out
    )


def test_a_body_that_somebody_has_put_in_its_place_is_noticed(
    run: Run, state: Path, built: dict[str, Any]
) -> None:
    """He may write into the database, too, but he has no key."""
    body = Path(built["data"])
    body.write_bytes(b"evil")
    digest = hashlib.sha256(b"evil").hexdigest()
    with closing(sqlite3.connect(state / "imagefactory.db")) as database, database:
        database.execute("UPDATE bodies SET size = 4, sha256 = ?", [digest])
    shown = found(run, built["identifier"])
    assert (shown["body"], shown["signature"], shown["provenance.json"]) == (True, True, False)


def test_a_pushed_image_is_signed_too(
    run: Run, state: Path, mock_template: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "credentials"
    secret.write_text("open sesame")
    words = ("--output", "json", "provider_image", "mock", "@account", secret)
    image = json.loads(run(*words, "--template", mock_template).out)
    assert found(run, image["identifier"]) == {
        "body": None, "signature": True, "provenance.json": True,
    }  # fmt: skip
    text = (state / "artifacts" / image["identifier"] / "provenance.json").read_text()
    said = Envelope.loads(text).statement()
    assert said["subject"][0]["name"] == image["identifier_on_provider"]
    [source] = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["uri"] == f"urn:uuid:{image['target_image_id']}"
    assert source["digest"] == said["subject"][0]["digest"]


def test_an_image_that_is_not_there_is_named(run: Run) -> None:
    outcome = run("verify", "nosuch")
    assert (outcome.status, outcome.err) == (1, "imagefactory: No image found with id: nosuch\n")
