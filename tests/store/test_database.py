"""The store keeps what it is given, refuses lost updates, and tells what has happened."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from traceback import format_exception

import pytest
from hypothesis import HealthCheck, assume, given, settings
from sqlalchemy import text

from fakes.images import IMAGES, an_id
from imagefactory.core.errors import Conflict, NotFound, RequestError, StoreError
from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.store.database import Store
from imagefactory.store.rows import Body

BASE = BaseImage(id=an_id(1), name="base", labels={"team": "red", "x.y z": "é"})
TARGET = TargetImage(id=an_id(2), target="openstack-kvm", base_image_id=BASE.id)
PROVIDER = ProviderImage(
    id=an_id(3), target="openstack-kvm", provider="glance", target_image_id=TARGET.id
)


def statuses(store: Store, image: Image) -> list[Status]:
    """What has been told of an image."""
    return [event.status for event in store.events(image=image.id)]


@given(image=IMAGES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_an_image_comes_back_as_it_was(store: Store, image: Image) -> None:
    assume(store.get(image.id) is None)
    store.add(image)
    assert store.image(image.id, type(image)) == image


def test_times_keep_their_moment_in_any_zone(store: Store) -> None:
    there = datetime(2024, 5, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    store.add(replace(BASE, created=there))
    created = store.image(BASE.id).created
    assert created == there
    assert created.tzinfo is UTC


def test_a_missing_image_is_named_in_the_manuals_words(store: Store) -> None:
    store.add(BASE)
    assert store.get("x") is None
    with pytest.raises(NotFound, match=r"^No image found with id: x$"):
        store.image("x")
    with pytest.raises(NotFound, match=rf"^No TargetImage found with id: {BASE.id}$"):
        store.image(BASE.id, TargetImage)


def test_a_cascade_is_added_whole_and_in_any_order(store: Store) -> None:
    store.add(PROVIDER, TARGET, BASE)
    assert store.image(PROVIDER.id).parent_id == TARGET.id
    assert store.image(TARGET.id).parent_id == BASE.id


def test_a_cascade_is_added_all_or_nothing(store: Store) -> None:
    store.add(BASE)
    with pytest.raises(Conflict):
        store.add(TARGET, BASE)
    with pytest.raises(Conflict):
        store.add(PROVIDER)  # its target image is not there
    assert store.ids() == {BASE.id}
    assert [event.image_id for event in store.events()] == [BASE.id]


@pytest.mark.parametrize(
    "image", [replace(BASE, template="\ud800"), replace(BASE, parameters={"size": float("nan")})]
)
def test_what_no_database_can_keep_is_the_clients_error(store: Store, image: Image) -> None:
    with pytest.raises(RequestError):
        store.add(image)
    assert store.ids() == frozenset()


def test_an_error_does_not_carry_the_values_along(store: Store) -> None:
    secretive = replace(PROVIDER, provider="password=hush")
    with pytest.raises(Conflict) as caught:
        store.add(secretive, secretive)
    assert "hush" not in "".join(format_exception(caught.value))


def test_saving_gives_the_image_as_it_is_stored(store: Store) -> None:
    store.add(BASE)
    saved = store.save(BASE.to(Status.BUILDING))
    assert saved == store.image(BASE.id)
    assert saved.version == 1


def test_a_lost_update_is_refused(store: Store) -> None:
    store.add(BASE)
    mine, yours = store.image(BASE.id), store.image(BASE.id)
    store.save(mine.to(Status.BUILDING))
    with pytest.raises(Conflict):
        store.save(yours.to(Status.FAILED, error="late"))
    assert store.image(BASE.id).status is Status.BUILDING
    assert statuses(store, BASE) == [Status.NEW, Status.BUILDING]


def test_saving_what_is_gone_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="No BaseImage found"):
        store.save(BASE)


def test_a_change_that_raises_changes_nothing(store: Store) -> None:
    store.add(BASE)
    with pytest.raises(ValueError, match="cannot go from"):
        store.change(BASE.id, lambda image: image.to(Status.DELETED))
    assert store.image(BASE.id) == BASE
    assert store.change(BASE.id, lambda image: image.to(Status.BUILDING)).status is Status.BUILDING


def test_progress_is_kept_by_a_save_that_did_not_see_it(store: Store) -> None:
    store.add(BASE)
    image = store.save(BASE.to(Status.BUILDING))
    store.report(BASE.id, 40, "Unpacking")
    store.report(BASE.id, 30)
    now = store.image(BASE.id)
    assert (now.percent, now.activity) == (40, "Unpacking")
    saved = store.save(replace(image, icicle="<icicle/>"))
    assert (saved.percent, saved.activity) == (40, "Unpacking")
    store.report(BASE.id, 50, "Configuring")
    done = store.save(saved.to(Status.COMPLETE, activity="Base Image build complete"))
    assert (done.percent, done.activity) == (100, "Base Image build complete")


def test_progress_stops_below_100_and_after_the_end(store: Store) -> None:
    store.add(BASE)
    store.report(BASE.id, 100)
    assert store.image(BASE.id).percent == 99
    store.save(BASE.to(Status.FAILED, error="no"))
    told = store.last_event()
    store.report(BASE.id, 99, "Still at it")
    store.report("gone", 1)
    assert store.image(BASE.id).activity == BASE.activity
    assert store.last_event() == told


def test_a_request_to_cancel_outlives_saves_and_ends_with_the_build(store: Store) -> None:
    store.add(BASE)
    store.request_cancel(BASE.id)
    image = store.save(BASE.to(Status.BUILDING))
    assert store.cancel_requested([BASE.id]) == {BASE.id}
    failed = store.save(image.to(Status.FAILED, error="Cancelled"))
    with pytest.raises(Conflict, match="is FAILED, so there is nothing to cancel"):
        store.request_cancel(BASE.id)
    store.save(failed.to(Status.PENDING))
    assert store.cancel_requested([BASE.id]) == frozenset()


def test_a_build_whose_image_is_deleted_is_to_stop(store: Store) -> None:
    store.add(BASE, TARGET)
    store.save(BASE.to(Status.DELETING))
    assert store.cancel_requested([BASE.id, TARGET.id, an_id(9)]) == {BASE.id, an_id(9)}
    with pytest.raises(NotFound):
        store.request_cancel(an_id(9))


def test_children_outlive_their_parent(store: Store) -> None:
    store.add(BASE, TARGET)
    store.delete(BASE.id)
    store.delete(BASE.id)
    assert store.image(TARGET.id).parent_id is None
    assert statuses(store, BASE) == [Status.NEW, Status.DELETED]


def test_what_waits_and_what_is_unfinished(store: Store) -> None:
    other = replace(TARGET, id=an_id(4), status=Status.COMPLETE)
    store.add(BASE, replace(TARGET, status=Status.PENDING), other)
    assert [image.id for image in store.waiting(BASE.id)] == [TARGET.id]
    assert [image.id for image in store.unfinished()] == [BASE.id, TARGET.id]


def test_a_list_is_filtered_newest_last(store: Store) -> None:
    older = replace(BASE, id=an_id(9), created=BASE.created - timedelta(days=1), labels={})
    store.add(BASE, TARGET, PROVIDER, older)

    def found(**wanted: object) -> list[str]:
        return [summary.id for summary in store.list(**wanted)]  # type: ignore[arg-type]

    assert found() == [BASE.id, TARGET.id, PROVIDER.id, older.id]
    assert found(kind=BaseImage) == [BASE.id, older.id]
    assert found(parent=BASE.id) == [TARGET.id]
    assert found(parent="nowhere") == []
    assert found(status=Status.FAILED) == []
    assert found(labels={"team": "red", "x.y z": "é"}) == [BASE.id]
    assert found(labels={"team": "blue"}) == []
    assert found(labels={'"); --': "x"}) == []
    assert found(limit=2) == [BASE.id, TARGET.id]
    assert found(limit=2, marker=TARGET.id) == [PROVIDER.id, older.id]
    with pytest.raises(NotFound, match="No image found with id: nobody"):
        found(marker="nobody")


def test_a_fetch_spec_compares_metadata_exactly(store: Store, tmp_path: Path) -> None:
    store.add(BASE, TARGET, replace(PROVIDER, provider='{"password": "hush"}'))

    def found(**spec: object) -> list[str]:
        return [image.id for image in store.query(spec, storage=tmp_path)]

    assert found() == [BASE.id, TARGET.id, PROVIDER.id]
    assert found(type="TargetImage") == [TARGET.id]
    assert found(type="TargetImage", status="COMPLETE") == []
    assert found(target="openstack-kvm") == [TARGET.id]  # the others do not have that key
    assert found(data=str(tmp_path / f"{BASE.id}.body")) == [BASE.id]
    assert found(status_detail={"activity": BASE.activity, "error": None}, type="BaseImage")
    assert found(identifier=3) == []
    assert found(nosuch=None) == []


def test_events_can_be_followed(store: Store) -> None:
    store.add(BASE)
    begin = store.last_event()
    image = store.save(BASE.to(Status.BUILDING, activity="Building"))
    store.report(BASE.id, 50, "Half")
    store.save(replace(image, activity="Half", icicle="<icicle/>"))  # nothing that people see
    events = store.events(after=begin)
    assert [(event.status, event.percent, event.activity) for event in events] == [
        (Status.BUILDING, 0, "Building"),
        (Status.BUILDING, 50, "Half"),
    ]
    assert store.events(after=begin, limit=1) == events[:1]
    assert store.events(after=begin, image="other") == ()


def test_event_ids_are_never_used_again(store: Store) -> None:
    store.add(BASE)
    with store.engine.begin() as connection:
        connection.execute(text("DELETE FROM events"))
    store.report(BASE.id, 1)
    assert store.last_event() == 2


def test_a_bodys_digest_goes_with_its_image(store: Store) -> None:
    store.add(BASE)
    assert store.body(BASE.id) is None
    store.keep_body(BASE.id, Body(size=1, sha256="0" * 64))
    store.keep_body(BASE.id, Body(size=1 << 40, sha256="f" * 64))
    assert store.body(BASE.id) == Body(size=1 << 40, sha256="f" * 64)
    store.delete(BASE.id)
    assert store.body(BASE.id) is None


def test_a_database_damaged_while_it_is_open_says_so(store: Store, database: Path) -> None:
    store.add(*(BaseImage(id=an_id(n), template="x" * 4096) for n in range(50)))
    store.close()
    with database.open("r+b") as file:
        for page in range(1, database.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    with pytest.raises(StoreError, match=r"cannot be used: database disk image is malformed"):
        store.list()


def test_twenty_thousand_images_are_listed_and_looked_up_by_index(store: Store) -> None:
    many = 20_000
    store.add(
        *(BaseImage(id=an_id(n)) for n in range(many)),
        *(replace(TARGET, id=an_id(many + n), base_image_id=an_id(n)) for n in range(10)),
    )
    assert len(store.list()) == many + 10
    page = store.list(kind=BaseImage, limit=50, marker=an_id(many - 20))
    assert [image.id for image in page] == [an_id(n) for n in range(many - 19, many)]
    assert [image.id for image in store.list(parent=an_id(7))] == [an_id(many + 7)]
    assert store.image(an_id(19_999)).id == an_id(19_999)
    for condition, index in {
        "kind = 'BaseImage' AND number > 5 ORDER BY number": "images_by_kind",
        "parent_id = 'x' ORDER BY number": "images_by_parent",
        "id = 'x'": "sqlite_autoindex_images_1",
    }.items():
        with store.engine.connect() as connection:
            plan = connection.execute(
                text(f"EXPLAIN QUERY PLAN SELECT * FROM images WHERE {condition}")
            )
            assert index in str(plan.all())
