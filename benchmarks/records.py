"""A factory's folder with very many images, as years of use would leave it."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.store.database import Store
from imagefactory.store.meta import dumps

_AT_ONCE: Final = 5000
_DONE: Final[Mapping[str, Any]] = {"status": Status.COMPLETE, "percent": 100}
_PROVIDERS: Final = 3  #: of each target image


@dataclass(frozen=True, kw_only=True)
class Records:
    """What was written: a database for ours, and in the folder `storage` the original's `.meta` files."""

    state: Path
    paths: tuple[str, ...]  #: the addresses of some images, of all kinds and ages
    bases: tuple[str, ...]  #: the ids of those that are base images


def write(state: Path, count: int, *, template: str) -> Records:
    """So many images in a folder: base images, each with a target image, each with provider images."""
    storage = state / "storage"
    storage.mkdir(parents=True)
    store = Store.open(state / "imagefactory.db")
    images = islice(_images(template), count)
    asked: list[Image] = []
    while some := list(islice(images, _AT_ONCE)):
        store.add(*some)
        for image in some:
            text = dumps(image, body=storage / f"{image.id}.body")
            (storage / f"{image.id}.meta").write_text(text)
        asked += some[:: _AT_ONCE // 21]  # 21 is odd, so that each kind has its turn
    store.close()
    return Records(
        state=state,
        paths=tuple(f"/imagefactory/{image.noun}s/{image.id}" for image in asked),
        bases=tuple(image.id for image in asked if isinstance(image, BaseImage)),
    )


def scan(storage: Path, **wanted: str) -> list[str]:
    """What the original does for a list: read every `.meta` file, and take the images that fit."""
    read = (json.loads(path.read_text()) for path in storage.glob("*.meta"))
    return [
        image["identifier"]
        for image in read
        if all(image.get(key) == value for key, value in wanted.items())
    ]


def _images(template: str) -> Iterator[Image]:
    described = {"template": template, "name": "server", **_DONE}
    packages = '<package name="bash"/>' * 300
    icicle = f"<icicle><packages>{packages}</packages></icicle>"
    while True:
        base = BaseImage(id=_new_id(), icicle=icicle, **described)
        yield base
        target = TargetImage(
            id=_new_id(), target="openstack-kvm", base_image_id=base.id, icicle=icicle, **described
        )
        yield target
        for number in range(_PROVIDERS):
            yield ProviderImage(
                id=_new_id(),
                target=target.target,
                target_image_id=target.id,
                provider=json.dumps({"glance-host": "glance.example.org"}),
                identifier_on_provider=f"{target.id}-{number}",
                **described,
            )


def _new_id() -> str:
    return str(uuid.uuid4())
