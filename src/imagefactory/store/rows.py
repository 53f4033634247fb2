"""Rows of the database as values, and values as rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import RowMapping

from imagefactory.core.errors import NotFound, RequestError, StoreError
from imagefactory.core.images import KINDS, Image, Status
from imagefactory.store.schema import images
from imagefactory.store.sealing import Seal

_CLASSES: Final = {image.kind: image for image in KINDS.values()}
_COLUMNS: Final = tuple(c.name for c in images.c if c.name not in {"number", "sealed"})
_OBJECTS: Final = ("properties", "labels")
_SEALED: Final = ("template", "parameters", "provider")  #: what may hold a password


class Summary(NamedTuple):
    """What a list shows of an image: no more than that, so that long lists stay cheap."""

    id: str
    kind: str  #: e.g. `BaseImage`


@dataclass(frozen=True, kw_only=True)
class Family:
    """An image with those that it was made from and into, all at one moment."""

    image: Image
    parent: Summary | None
    children: tuple[Summary, ...]  #: newest last


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many images of one kind are in one status."""

    kind: str  #: e.g. `BaseImage`
    status: Status
    count: int
    seconds: float  #: from their requests to their last changes, all together


@dataclass(frozen=True, kw_only=True)
class Event:
    """One change of an image that people can see. `id` only grows."""

    id: int
    image_id: str
    kind: str  #: e.g. `BaseImage`
    time: datetime
    status: Status
    percent: int
    activity: str
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Body:
    """What the store knows of a sealed body."""

    size: int  #: bytes, holes included
    sha256: str  #: 64 lower-case hex digits


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An idempotency key that a client has chosen for an image."""

    client: str
    key: str


def columns_of(image: Image, seal: Seal) -> dict[str, Any]:
    """The columns of an image's row; those that its kind lacks are null. `RequestError`, see `sealed`."""
    columns: dict[str, Any] = {name: getattr(image, name, None) for name in _COLUMNS}
    objects = {name: dict(columns[name]) for name in _OBJECTS}
    return columns | objects | {"sealed": sealed(image, seal)}


def sealed(image: Image, seal: Seal) -> bytes:
    """What of an image may hold a password; `RequestError` for what is no JSON or no Unicode."""
    given = {name: getattr(image, name, None) for name in _SEALED}
    try:
        text = json.dumps(given, allow_nan=False, ensure_ascii=False, default=dict)
        text.encode()
    except (TypeError, ValueError) as error:
        raise unstorable() from error
    return seal.close_up(text, of=image.id)


def unstorable() -> RequestError:
    """The error about a value that no database takes."""
    msg = "The image has a text or a number that cannot be stored"
    return RequestError(msg, hint="Send Unicode, and no NaN or Infinity")


def missing(id: str, kind: type[Image]) -> NotFound:
    """The error about an image that is not there, in the words of the API manual."""
    return NotFound(f"No {'image' if kind is Image else kind.kind} found with id: {id}")


def image_from(row: Mapping[str, Any] | RowMapping, seal: Seal) -> Image:
    """The image that a row of `images` holds; `StoreError` when the key of the vault is another one."""
    text = seal.open_up(row["sealed"], of=row["id"])
    if text is None:
        msg = f'The template of the image "{row["id"]}" cannot be decrypted'
        hint = "The vault's key is another one, or the database was tampered with"
        raise StoreError(msg, hint=hint)
    kind = _CLASSES[row["kind"]]
    parent = {"base_image_id": row["parent_id"], "target_image_id": row["parent_id"]}
    columns = {**row, **parent, **json.loads(text), "status": Status(row["status"])}
    return kind(**{field.name: columns[field.name] for field in fields(kind)})


def summary_from(row: RowMapping) -> Summary:
    """The summary that a row holds."""
    return Summary(id=row["id"], kind=row["kind"])


def event_from(row: RowMapping) -> Event:
    """The event that a row of `events` holds."""
    return Event(**{**row, "status": Status(row["status"])})
