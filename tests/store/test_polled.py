"""What clients poll is what the store holds: for many threads at once, within any limits, at one moment."""

import itertools
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imagefactory.core.errors import NotFound, StoreError
from imagefactory.core.images import BaseImage, Image, Status, TargetImage
from imagefactory.store.database import Store
from imagefactory.store.polled import Polled
from imagefactory.store.rows import Summary

THREADS = 8


def a_target(base: BaseImage) -> TargetImage:
    return TargetImage(id=str(uuid.uuid4()), target="mock", base_image_id=base.id)


@pytest.fixture
def base(store: Store) -> BaseImage:
    image = BaseImage(id=str(uuid.uuid4()), template="<template/>", labels={"team": "red"})
    store.add(image)
    return image


@pytest.fixture
def several(store: Store, base: BaseImage) -> tuple[Image, ...]:
    """Two base images, each with targets, some of which have failed."""
    other = BaseImage(id=str(uuid.uuid4()))
    targets = [a_target(parent) for parent in (base, other, base, other, base)]
    targets[1] = targets[1].to(Status.FAILED)
    targets[2] = targets[2].to(Status.FAILED)
    store.add(other, *targets)
    return (base, other, *targets)


def all_ways(images: tuple[Image, ...]) -> Iterator[tuple[Any, ...]]:
    kinds = (None, BaseImage, TargetImage)
    parents = (None, images[0].id, images[1].id, "nobody")
    statuses = (None, Status.NEW, Status.FAILED)
    limits = (None, 1, 2, 100)
    markers = (None, images[0].id, images[4].id, images[-1].id)
    return itertools.product(kinds, parents, statuses, limits, markers)


def test_a_list_has_what_fits_all_that_is_given_in_its_order(
    store: Store, several: tuple[Image, ...]
) -> None:
    ids = [image.id for image in several]
    for kind, parent, status, limit, marker in all_ways(several):
        after = several if marker is None else several[ids.index(marker) + 1 :]
        wanted = [
            Summary(id=image.id, kind=image.kind)
            for image in after
            if (kind is None or isinstance(image, kind))
            and parent in {None, image.parent_id}
            and status in {None, image.status}
        ][:limit]
        found = store.polled.list(
            kind=kind, parent=parent, status=status, limit=limit, marker=marker
        )
        assert list(found) == wanted, (kind, parent, status, limit, marker)


def test_an_image_comes_as_the_store_has_it(store: Store, several: tuple[Image, ...]) -> None:
    base, _, first, _, second, _, third = several
    family = store.polled.family(base.id, BaseImage)
    assert family.image == store.get(base.id)
    assert family.parent is None
    assert [child.id for child in family.children] == [first.id, second.id, third.id]
    family = store.polled.family(second.id, Image)
    assert family.image == store.get(second.id)
    assert family.parent == Summary(id=base.id, kind="BaseImage")
    assert family.children == ()


def test_what_is_not_there_is_told_in_the_words_of_the_store(store: Store, base: BaseImage) -> None:
    with pytest.raises(NotFound, match="No TargetImage found with id: " + base.id):
        store.polled.family(base.id, TargetImage)
    with pytest.raises(NotFound, match="No image found with id: nobody"):
        store.polled.list(kind=None, parent=None, status=None, limit=None, marker="nobody")


def test_many_threads_see_one_moment_each_while_somebody_writes(
    store: Store, base: BaseImage
) -> None:
    """Whoever sees a target image in the list finds it below its base, and no change goes back."""
    polled = store.polled

    def look(_: int) -> tuple[int, int]:
        listed = polled.list(kind=TargetImage, parent=None, status=None, limit=None, marker=None)
        family = polled.family(base.id, BaseImage)
        known = [child.id for child in family.children]
        assert [summary.id for summary in listed] == known[: len(listed)]
        return len(listed), family.image.percent

    with ThreadPoolExecutor(THREADS) as threads:
        looks = threads.map(look, range(200))
        for percent in range(1, 41):
            store.add(a_target(base))
            store.report(base.id, percent)
        seen = list(looks)
    assert seen, "somebody has looked"
    assert look(0) == (40, 40)
    assert 1 <= len(polled._idle) <= THREADS + 1, "a connection is used again, by one at a time"


def test_nothing_is_written_over_these_connections(store: Store, base: BaseImage) -> None:
    store.polled.family(base.id, BaseImage)
    [database] = store.polled._idle
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM images")
    assert store.polled.ids() == {base.id}


def test_a_reader_keeps_no_writer_waiting(store: Store, base: BaseImage) -> None:
    with store.polled._snapshot() as database:
        assert database.execute("SELECT count(*) FROM images").fetchone() == (1,)
        store.add(a_target(base))
        assert database.execute("SELECT count(*) FROM images").fetchone() == (1,)
    assert len(store.polled.ids()) == 2


def test_after_the_end_the_database_is_let_go_of(store: Store, base: BaseImage) -> None:
    store.polled.family(base.id, BaseImage)
    [database] = store.polled._idle
    store.polled.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_a_database_that_cannot_be_read_is_told(store: Store, tmp_path: Path) -> None:
    (tmp_path / "no.db").write_bytes(b"no database, surely" * 100)
    polled = Polled(str(tmp_path / "no.db"), store.polled._seal)
    with pytest.raises(StoreError, match=r'no.db" cannot be used: file is not a database'):
        polled.ids()
    missing = Polled(str(tmp_path / "nowhere" / "no.db"), store.polled._seal)
    with pytest.raises(StoreError, match=r'no.db" cannot be used: unable to open'):
        missing.ids()
