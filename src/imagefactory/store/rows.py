"""Rows of the database as values, and values as rows."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping

from imagefactory.core.images import KINDS, Image, Status
from imagefactory.store.schema import images

_CLASSES: Final = {image.kind: image for image in KINDS.values()}
_COLUMNS: Final = tuple(column.name for column in images.c if column.name != "number")
_OBJECTS: Final = ("parameters", "properties", "labels")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a list shows of an image: all but the long texts, so that long lists stay cheap."""

    id: str
    kind: str  #: e.g. `BaseImage`
    noun: str  #: e.g. `base_image`
    name: str | None
    status: Status
    activity: str
    error: str | None
    percent: int
    labels: Mapping[str, str]
    target: str | None
    provider: str | None
    parent_id: str | None
    created: datetime
    updated: datetime


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


def columns_of(image: Image) -> dict[str, Any]:
    """The columns of an image's row; those that its kind lacks are null."""
    columns: dict[str, Any] = {name: getattr(image, name, None) for name in _COLUMNS}
    objects = {name: dict(columns[name]) for name in _OBJECTS if columns[name] is not None}
    return columns | objects


def image_from(row: RowMapping) -> Image:
    """The image that a row of `images` holds."""
    kind = _CLASSES[row["kind"]]
    parent = {"base_image_id": row["parent_id"], "target_image_id": row["parent_id"]}
    columns = {**row, **parent, "status": Status(row["status"])}
    return kind(**{field.name: columns[field.name] for field in fields(kind)})


def summary_from(row: RowMapping) -> Summary:
    """The summary that a row holds, if it has no more columns than that."""
    noun = _CLASSES[row["kind"]].noun
    return Summary(**{**row, "noun": noun, "status": Status(row["status"])})


def event_from(row: RowMapping) -> Event:
    """The event that a row of `events` holds."""
    return Event(**{**row, "status": Status(row["status"])})
