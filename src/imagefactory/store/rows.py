"""Rows of the database as values, and values as rows."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping

from imagefactory.core.images import KINDS, Image, ProviderImage, Status, TargetImage

_CLASSES: Final = {image.kind: image for image in KINDS.values()}
_OBJECTS: Final = frozenset({"parameters", "properties", "labels"})


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


def columns_of(image: Image) -> dict[str, Any]:
    """The columns of an image's row."""
    columns: dict[str, Any] = {field.name: getattr(image, field.name) for field in fields(image)}
    for name in _OBJECTS:
        columns[name] = None if columns[name] is None else dict(columns[name])
    match image:
        case TargetImage():
            del columns["base_image_id"]
        case ProviderImage():
            del columns["target_image_id"]
        case _:
            pass
    return {**columns, "kind": image.kind, "parent_id": image.parent_id}


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
