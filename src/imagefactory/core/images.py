"""The three kinds of image, and the states that they pass through."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

INITIAL_ACTIVITY: Final = "Initializing image prior to Cloud/OS customization"


class Status(StrEnum):
    """Where an image is in its life (API manual, "Image Inspection")."""

    NEW = "NEW"  #: recorded, not begun
    PENDING = "PENDING"  #: waits for the image that it is made from
    BUILDING = "BUILDING"  #: a worker has it
    COMPLETE = "COMPLETE"  #: whole, and usable
    FAILED = "FAILED"  #: will not become usable, unless it is retried
    DELETING = "DELETING"  #: is being removed, here and on the provider
    DELETED = "DELETED"  #: gone; only those who watch see this
    DELETEFAILED = "DELETEFAILED"  #: could not be removed; the record is kept


_NEXT: Final[Mapping[Status, frozenset[Status]]] = {
    Status.NEW: frozenset({Status.PENDING, Status.BUILDING, Status.FAILED, Status.DELETING}),
    Status.PENDING: frozenset({Status.BUILDING, Status.FAILED, Status.DELETING}),
    Status.BUILDING: frozenset({Status.COMPLETE, Status.FAILED, Status.DELETING}),
    Status.COMPLETE: frozenset({Status.DELETING}),
    Status.FAILED: frozenset({Status.PENDING, Status.BUILDING, Status.DELETING}),
    Status.DELETING: frozenset({Status.DELETED, Status.DELETEFAILED}),
    Status.DELETED: frozenset(),
    Status.DELETEFAILED: frozenset({Status.DELETING}),
}

SETTLED: Final = frozenset({Status.COMPLETE, Status.FAILED, Status.DELETED, Status.DELETEFAILED})


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Image:
    """What all kinds of image share. Never changed: `to`, `at` and `dataclasses.replace` give a new one."""

    kind: ClassVar[str]  #: the class name that the API shows, e.g. `BaseImage`
    noun: ClassVar[str]  #: the singular word of the API, e.g. `base_image`
    title: ClassVar[str]  #: the words that messages use, e.g. `Base Image`

    id: str
    template: str | None = None  #: TDL, as it was given
    status: Status = Status.NEW
    activity: str = INITIAL_ACTIVITY  #: one line: what is being done now
    error: str | None = None
    percent: int = 0  #: 0 to 100, never falls
    icicle: str | None = None
    parameters: Mapping[str, Any] | None = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None  #: the template's
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    cancel_requested: bool = False
    version: int = 0  #: of the row; the store refuses to save over a newer one

    @property
    def parent_id(self) -> str | None:
        """The image that this one is made from, if any."""
        return None

    @property
    def settled(self) -> bool:
        """Whether no worker will touch the image unless it is asked to."""
        return self.status in SETTLED

    def to(self, status: Status, *, activity: str | None = None, error: str | None = None) -> Self:
        """This image in another state. A move that `_NEXT` lacks is a bug, and loud: `ValueError`."""
        if status not in _NEXT[self.status]:
            msg = f'An image cannot go from "{self.status}" to "{status}"'
            raise ValueError(msg)
        percent = 100 if status is Status.COMPLETE else self.percent
        return replace(
            self,
            status=status,
            activity=self.activity if activity is None else activity,
            error=error,
            percent=percent,
            updated=now(),
        )

    def at(self, percent: int, activity: str | None = None) -> Self:
        """This image, further on: `percent` never falls and never passes 99 before COMPLETE."""
        return replace(
            self,
            percent=max(self.percent, min(percent, 99)),
            activity=self.activity if activity is None else activity,
            updated=now(),
        )


@dataclass(frozen=True, kw_only=True)
class BaseImage(Image):
    """A bootable disk, made from a template alone."""

    kind = "BaseImage"
    noun = "base_image"
    title = "Base Image"


@dataclass(frozen=True, kw_only=True)
class TargetImage(Image):
    """A base image in the form that one kind of cloud takes."""

    kind = "TargetImage"
    noun = "target_image"
    title = "Target Image"

    target: str
    base_image_id: str | None = None

    @property
    def parent_id(self) -> str | None:
        return self.base_image_id


@dataclass(frozen=True, kw_only=True)
class ProviderImage(Image):
    """A target image as it stands in one cloud account."""

    kind = "ProviderImage"
    noun = "provider_image"
    title = "Provider Image"

    provider: str
    target: str
    target_image_id: str | None = None
    identifier_on_provider: str | None = None
    provider_account_identifier: str | None = None
    credentials_ref: str | None = None  #: where the vault keeps them; never the credentials

    @property
    def parent_id(self) -> str | None:
        return self.target_image_id


KINDS: Final[Mapping[str, type[Image]]] = {
    kind.noun: kind for kind in (BaseImage, TargetImage, ProviderImage)
}
