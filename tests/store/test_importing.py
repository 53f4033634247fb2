"""An original store becomes ours once, and nothing of it is lost."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from fakes.images import an_id
from imagefactory.core.images import BaseImage, ProviderImage, Status, TargetImage
from imagefactory.store.bodies import Bodies
from imagefactory.store.database import Store
from imagefactory.store.importing import import_original

BASE, TARGET, PROVIDER = an_id(1), an_id(2), an_id(3)


def an_original(folder: Path, id: str, kind: str, *, age: int = 0, **more: Any) -> Path:
    """A pair of files as the original's file manager wrote them."""
    body = folder / f"{id}.body"
    body.write_bytes(b"body of " + id.encode())
    content = {
        "type": kind, "identifier": id, "data": str(body), "template": "<template/>",
        "icicle": None, "status_detail": {"activity": "Done", "error": None}, "status": "COMPLETE",
        "percent_complete": 0, "parameters": {}, "properties": {}, **more,
    }  # fmt: skip
    meta = folder / f"{id}.meta"
    meta.write_text(json.dumps(content))
    os.utime(meta, (1_400_000_000 - age, 1_400_000_000 - age))
    return meta


def test_a_cascade_is_taken_over_once(store: Store, bodies: Bodies) -> None:
    provider = '{"api-url": "u", "username": "me", "password": "hush"}'
    files = [
        an_original(bodies.folder, PROVIDER, "ProviderImage", target_image_id=TARGET,
                    provider=provider, identifier_on_provider="vm", provider_account_identifier="me"),
        an_original(bodies.folder, TARGET, "TargetImage", age=10, base_image_id=BASE, target="vsphere"),
        an_original(bodies.folder, BASE, "BaseImage", age=20),
    ]  # fmt: skip
    before = {path: path.read_bytes() for path in bodies.folder.iterdir()}
    imported = import_original(store, bodies)
    assert [image.id for image in imported.images] == [BASE, TARGET, PROVIDER]
    assert imported.refused == ()
    image = store.image(PROVIDER, ProviderImage)
    assert (image.target, image.provider) == ("vsphere", provider)
    assert image.created.timestamp() == 1_400_000_000
    assert store.image(TARGET, TargetImage).base_image_id == BASE
    assert [summary.id for summary in store.list()] == [BASE, TARGET, PROVIDER]
    assert {path: path.read_bytes() for path in bodies.folder.iterdir()} == before
    assert bodies.measure(BASE).size == len(b"body of ") + 36
    assert import_original(store, bodies).images == ()
    assert len(files) == len(store.ids())


def test_a_parent_that_is_gone_is_forgotten(store: Store, bodies: Bodies) -> None:
    an_original(bodies.folder, TARGET, "TargetImage", base_image_id=BASE, target="ec2")
    an_original(bodies.folder, PROVIDER, "ProviderImage", target_image_id=BASE, provider="p")
    store.add(BaseImage(id=BASE))
    import_original(store, bodies)
    assert store.image(TARGET).parent_id == BASE
    assert store.image(PROVIDER).parent_id is None  # a base image is no target image


def test_what_the_original_was_at_has_failed_in_the_folder_too(
    store: Store, bodies: Bodies
) -> None:
    meta = an_original(bodies.folder, BASE, "BaseImage", status="BUILDING")
    import_original(store, bodies)
    image = store.image(BASE)
    assert image.status is Status.FAILED
    assert image.error == "The factory that worked on the image stopped before it was done"
    assert store.unfinished() == ()
    assert json.loads(meta.read_text())["status"] == "FAILED"


def test_a_damaged_file_is_reported_and_kept(
    store: Store, bodies: Bodies, caplog: pytest.LogCaptureFixture
) -> None:
    good = an_original(bodies.folder, BASE, "BaseImage")
    half = an_original(bodies.folder, TARGET, "TargetImage", target="ec2")
    half.write_text(half.read_text()[:50])
    other = an_original(bodies.folder, PROVIDER, "BaseImage")
    other.write_text(good.read_text())
    binary = bodies.folder / "x.meta"
    binary.write_bytes(b"\xff\xfe")
    with caplog.at_level(logging.WARNING):
        imported = import_original(store, bodies)
    assert [image.id for image in imported.images] == [BASE]
    assert len(imported.refused) == 3
    for path in (half, other, binary):
        assert path.exists()
        assert sum(str(path) in refusal for refusal in imported.refused) == 1
        assert str(path) in caplog.text
    assert len(import_original(store, bodies).refused) == 3


def test_our_own_images_are_not_imported(store: Store, bodies: Bodies) -> None:
    image = BaseImage(id=BASE)
    store.add(image)
    bodies.describe(image)
    assert import_original(store, bodies).images == ()
    assert store.image(BASE) == image


def test_images_that_come_and_go_meanwhile_are_left_alone(
    store: Store, bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, come = BaseImage(id=BASE), BaseImage(id=TARGET)
    store.add(gone)
    bodies.describe(gone)
    ids = Store.ids

    def meanwhile(store: Store) -> frozenset[str]:
        bodies.remove(gone.id)
        store.delete(gone.id)
        store.add(come)
        bodies.describe(come)
        return ids(store)

    monkeypatch.setattr(Store, "ids", meanwhile)
    imported = import_original(store, bodies)
    assert (imported.images, imported.refused) == ((), ())
    assert ids(store) == {come.id}
