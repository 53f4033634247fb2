"""`.meta` files have exactly the original's keys, and can be read back."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from fakes.images import IMAGES, an_id
from imagefactory.core.errors import StoreError
from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.store.meta import dumps, is_id, loads, metadata

BODY = Path("/storage/x.body")
WRITTEN = datetime(2016, 2, 3, tzinfo=UTC)
COMMON = {
    "type", "identifier", "data", "template", "icicle", "status_detail", "status",
    "percent_complete", "parameters", "properties",
}  # fmt: skip
TARGET = {"base_image_id", "target"}
PROVIDER = {
    "target_image_id", "provider", "identifier_on_provider", "provider_account_identifier",
}  # fmt: skip


def read(content: object) -> Image:
    return loads(json.dumps(content), name="x.meta", written=WRITTEN)


@pytest.mark.parametrize(
    ("image", "keys"),
    [
        (BaseImage(id=an_id(1)), COMMON),
        (TargetImage(id=an_id(1), target="t"), COMMON | TARGET),
        (ProviderImage(id=an_id(1), target="t", provider="p"), COMMON | PROVIDER),
    ],
)
def test_the_keys_are_the_originals(image: Image, keys: set[str]) -> None:
    assert set(json.loads(dumps(image, body=BODY))) == keys


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(image=IMAGES)
def test_what_was_written_is_read_back(image: Image) -> None:
    assume(image.settled and image.status is not Status.DELETED)
    assume(image.status is not Status.COMPLETE or image.percent == 100)
    assume(image.activity)
    text = dumps(image, body=BODY)
    again = loads(text, name="x.meta", written=WRITTEN)
    assert type(again) is type(image)
    assert dumps(again, body=BODY) == text
    assert (again.created, again.version) == (WRITTEN, 0)


def test_secrets_are_for_the_database_alone() -> None:
    image = ProviderImage(
        id=an_id(1),
        template="<template><os><rootpw>hush</rootpw></os></template>",
        target="vsphere",
        provider='{"api-url": "u", "password": "hush"}',
        parameters={"secret": "hush"},
        properties={"token": "hush"},
        credentials_ref=an_id(2),
    )
    assert "hush" not in dumps(image, body=BODY)
    assert an_id(2) not in dumps(image, body=BODY)
    shown = metadata(image, body=BODY)
    assert shown["template"] == image.template  # those who may ask the API may see it
    assert "hush" not in json.dumps({**shown, "template": None})


ORIGINAL: dict[str, Any] = {
    "type": "BaseImage",
    "identifier": an_id(1),
    "data": "/var/lib/imagefactory/storage/x.body",
    "template": "<template/>",
    "icicle": None,
    "status_detail": {"activity": "Base Image build complete", "error": None},
    "status": "COMPLETE",
    "percent_complete": 0,
    "parameters": {},
    "properties": {},
}


def test_an_original_that_was_complete_is() -> None:
    assert read(ORIGINAL) == BaseImage(
        id=an_id(1),
        template="<template/>",
        status=Status.COMPLETE,
        activity="Base Image build complete",
        percent=100,
        created=WRITTEN,
        updated=WRITTEN,
    )


@pytest.mark.parametrize(
    ("found", "becomes"),
    [
        ("NEW", Status.FAILED),
        ("PENDING", Status.FAILED),
        ("building", Status.FAILED),
        ("DELETING", Status.DELETEFAILED),
        ("DELETED", Status.DELETEFAILED),
    ],
)
def test_what_the_original_was_at_has_failed(found: str, becomes: Status) -> None:
    image = read({**ORIGINAL, "status": found, "percent_complete": 30})
    assert image.status is becomes
    assert image.error == "The factory that worked on the image stopped before it was done"
    assert image.percent == 30


def test_old_files_say_less() -> None:
    few = {"type": "TargetImage", "identifier": an_id(1), "status": "FAILED", "status_detail": "x"}
    image = read(few)
    assert isinstance(image, TargetImage)
    assert (image.activity, image.parameters, image.base_image_id) == ("x", None, None)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ([], "it holds no JSON object"),
        ({**ORIGINAL, "identifier": "../x"}, '"../x" is no identifier'),
        ({**ORIGINAL, "type": "Image"}, '"Image" is no type of image'),
        ({**ORIGINAL, "status": "DONE"}, '"DONE" is no status'),
        ({**ORIGINAL, "template": {}}, 'its "template" is of the unexpected type dict'),
        ({**ORIGINAL, "properties": []}, 'its "properties" is of the unexpected type list'),
        ({**ORIGINAL, "percent_complete": "9"}, 'its "percent_complete" is of the unexpected type str'),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_with_the_cause(content: object, cause: str) -> None:
    with pytest.raises(StoreError) as caught:
        read(content)
    assert str(caught.value) == f'The file "x.meta" is damaged: {cause}'


@pytest.mark.parametrize("text", ["", "{", '{"type": "BaseIm', "[" * 100_000])
def test_half_a_file_is_damaged(text: str) -> None:
    with pytest.raises(StoreError, match=r'The file "x\.meta" is damaged'):
        loads(text, name="x.meta", written=WRITTEN)


def test_only_a_uuid_in_its_usual_form_is_an_id() -> None:
    assert is_id("4cc3b024-5fe7-4b0b-934b-c5d463b990b0")
    assert not is_id("4CC3B024-5FE7-4B0B-934B-C5D463B990B0")
    assert not is_id("urn:uuid:4cc3b024-5fe7-4b0b-934b-c5d463b990b0")
