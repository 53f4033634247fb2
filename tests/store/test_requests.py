"""A nonce is good once, and an idempotency key stands for one image."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.images import an_id
from imagefactory.core.errors import Conflict
from imagefactory.core.images import BaseImage, now
from imagefactory.store.database import Store

SOON = timedelta(minutes=5)
BASE = BaseImage(id=an_id(1))


def claim(store: Store, *, digest: str = "d", patience: timedelta = SOON) -> str | None:
    return store.claim("client", "key", digest=digest, patience=patience)


def test_a_nonce_is_good_once_for_each_client(store: Store) -> None:
    until = now() + SOON
    assert store.use_nonce("a", "1", until=until)
    assert not store.use_nonce("a", "1", until=until)
    assert store.use_nonce("b", "1", until=until)
    assert store.use_nonce("a", "2", until=until)


def test_a_nonce_outlives_its_process(store: Store, database: Path) -> None:
    assert store.use_nonce("a", "1", until=now() + SOON)
    store.close()
    again = Store.open(database)
    assert not again.use_nonce("a", "1", until=now() + SOON)
    again.close()


def test_a_nonce_is_forgotten_when_its_time_is_over(store: Store) -> None:
    assert store.use_nonce("a", "1", until=now() - SOON)
    assert store.use_nonce("a", "1", until=now() + SOON)


def test_of_many_at_once_one_is_the_first(database: Path) -> None:
    stores = [Store.open(database) for _ in range(4)]
    firsts: list[bool] = []

    def use(mine: Store) -> None:
        firsts.append(mine.use_nonce("a", "1", until=now() + SOON))

    threads = [threading.Thread(target=use, args=(mine,)) for mine in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine in stores:
        mine.close()
    assert sorted(firsts) == [False, False, False, True]


def test_a_key_stands_for_the_image_that_it_made(store: Store) -> None:
    assert claim(store) is None
    store.add(BASE)
    store.fulfil("client", "key", BASE.id)
    assert claim(store) == BASE.id
    assert store.claim("other", "key", digest="d", patience=SOON) is None


def test_a_key_is_for_one_request(store: Store) -> None:
    assert claim(store) is None
    with pytest.raises(Conflict, match="still being answered"):
        claim(store)
    with pytest.raises(Conflict, match="used for another request"):
        claim(store, digest="other")


def test_a_failed_or_lost_request_gives_its_key_back(store: Store) -> None:
    assert claim(store) is None
    store.release("client", "key")
    assert claim(store) is None
    assert claim(store, patience=-SOON) is None


def test_a_key_is_free_again_when_its_image_is_gone(store: Store) -> None:
    claim(store)
    store.add(BASE)
    store.fulfil("client", "key", BASE.id)
    store.release("client", "key")
    assert claim(store) == BASE.id
    store.delete(BASE.id)
    assert claim(store) is None
