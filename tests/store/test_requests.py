"""An idempotency key stands for one image."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from fakes.images import an_id
from imagefactory.core.errors import Conflict
from imagefactory.core.images import BaseImage, TargetImage
from imagefactory.store.database import Store
from imagefactory.store.rows import Claim
from imagefactory.store.schema import replies
from imagefactory.store.sealing import KEY, Seal

SOON = timedelta(minutes=5)
BASE = BaseImage(id=an_id(1))
CLAIM = Claim(client="client", key="key")


def claim(store: Store, *, request: str = "d", patience: timedelta = SOON) -> str | None:
    return store.claim(CLAIM, request=request, patience=patience)


def test_a_key_stands_for_the_image_that_it_made(store: Store) -> None:
    assert claim(store) is None
    store.add(BASE, claim=CLAIM)
    assert claim(store) == BASE.id
    assert store.claim(replace(CLAIM, client="other"), request="d", patience=SOON) is None


def test_a_key_is_for_one_request(store: Store) -> None:
    assert claim(store) is None
    with pytest.raises(Conflict, match="still being answered"):
        claim(store)
    with pytest.raises(Conflict, match="used for another request"):
        claim(store, request="other")


def test_a_failed_or_lost_request_gives_its_key_back(store: Store) -> None:
    assert claim(store) is None
    store.release(CLAIM)
    assert claim(store) is None
    assert claim(store, patience=-SOON) is None


def test_a_key_is_free_again_when_its_image_is_gone(store: Store) -> None:
    claim(store)
    store.add(BASE, claim=CLAIM)
    store.release(CLAIM)
    assert claim(store) == BASE.id
    store.delete(BASE.id)
    assert claim(store) is None


def test_a_key_stands_for_an_image_as_soon_as_that_is_there_and_not_before(store: Store) -> None:
    store.add(BASE)
    assert claim(store) is None
    with pytest.raises(Conflict, match="id is taken"):
        store.add(BaseImage(id=an_id(2)), BASE, claim=CLAIM)
    with pytest.raises(Conflict, match="still being answered"):
        claim(store)
    chain = BaseImage(id=an_id(3)), TargetImage(id=an_id(4), target="mock", base_image_id=an_id(3))
    store.add(*chain, claim=CLAIM)
    assert claim(store) == an_id(4)


def test_a_request_cannot_be_guessed_from_what_is_kept(store: Store, database: Path) -> None:
    claim(store, request="rootpw=weak")
    with store.engine.connect() as connection:
        kept = connection.scalar(select(replies.c.digest))
    assert kept == Seal.open(database.with_name(KEY)).digest("rootpw=weak")
    assert kept != hashlib.sha256(b"rootpw=weak").hexdigest()
    assert kept != Seal.open(database.with_name("other.key")).digest("rootpw=weak")
