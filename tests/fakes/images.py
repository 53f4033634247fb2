"""Images of all kinds with any values, for property tests."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st

from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage

IDS: Final = st.uuids().map(str)
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
MOMENTS: Final = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
OBJECTS: Final = st.dictionaries(TEXTS, JSON, max_size=4)

COMMON: Final[dict[str, st.SearchStrategy[Any]]] = {
    "id": IDS,
    "template": st.none() | TEXTS,
    "status": st.sampled_from(Status),
    "activity": TEXTS,
    "error": st.none() | TEXTS,
    "percent": st.integers(0, 100),
    "icicle": st.none() | TEXTS,
    "parameters": st.none() | OBJECTS,
    "properties": OBJECTS,
    "labels": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "name": st.none() | TEXTS,
    "created": MOMENTS,
    "updated": MOMENTS,
    "cancel_requested": st.booleans(),
    "version": st.integers(0, 1000),
}

IMAGES: Final[st.SearchStrategy[Image]] = st.one_of(
    st.builds(BaseImage, **COMMON),
    st.builds(TargetImage, **COMMON, target=TEXTS),
    st.builds(
        ProviderImage,
        **COMMON,
        target=TEXTS,
        provider=TEXTS,
        identifier_on_provider=st.none() | TEXTS,
        provider_account_identifier=st.none() | TEXTS,
        credentials_ref=st.none() | IDS,
    ),
)


def an_id(number: int) -> str:
    """A readable id that is a UUID."""
    return str(UUID(int=number))
