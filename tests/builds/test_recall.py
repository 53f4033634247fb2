"""A disk that has been made is taken for an image of which all that goes in is the same."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from fakes.build import a_build
from imagefactory.builds.recall import Recall
from imagefactory.core.config import Config
from imagefactory.core.errors import Cancelled
from imagefactory.core.lock import Lock
from imagefactory.engine.plan import AS_OF, Build, Plan, Step
from imagefactory.store.bodies import Bodies

FIRST, SECOND, THIRD = (f"9ac0d5c5-2b2a-4f3b-9d5a-0d4d3f6b7c0{number}" for number in "123")
DISK = b"boot" + bytes(1 << 20) + b"root" * 20_000


@dataclass(frozen=True, kw_only=True)
class Do(Step):
    what: str = "resolve"
    good: float | None = None

    @property
    def activity(self) -> str:
        return self.what

    def lasts(self) -> float | None:
        return self.good

    def run(self, build: Build) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Judge(Do):
    judges: ClassVar[bool] = True


RESOLVE = Do()
PLAN: Plan = (RESOLVE, Do(what="make"))
JUDGED: Plan = (*PLAN, Judge(what="boot"))


@pytest.fixture(params=[True, False], ids=["plain", "chunks"])
def bodies(request: pytest.FixtureRequest, tmp_path: Path) -> Bodies:
    return Bodies.open(Config(state=tmp_path, plain_bodies=request.param))


@pytest.fixture
def recall(tmp_path: Path, bodies: Bodies) -> Iterator[Callable[..., Recall]]:
    with ExitStack() as cleanup:

        def made(image: str, plan: Plan = PLAN, *, epoch: int = 7) -> Recall:
            own = cleanup.enter_context(ExitStack())
            build = replace(a_build(tmp_path, build_id=image), cleanup=own)
            lock = Lock(system="Debian", version="12", arch="x86_64", epoch=epoch, packages=())
            (build.scratch / "lock.json").write_text(lock.dumps())
            return Recall(bodies=bodies, build=build, plan=plan)

        yield made


def finish(recall: Recall, **notes: object) -> None:
    """Make the disk and remember it."""
    build = recall.build
    build.disk.write_bytes(DISK)
    build.note(format="raw", **notes)
    for name in ("icicle.xml", "log", "boot.json"):
        (build.artifacts / name).write_text(name)
    recall.keep(recall.bodies.seal(build.id, build.disk))


def content(bodies: Bodies, image: str) -> bytes:
    with bodies.open_body(image) as body:
        return body.read()


def test_the_same_disk_is_taken_with_what_is_known_of_it(
    recall: Callable[..., Recall], bodies: Bodies
) -> None:
    finish(recall(FIRST))
    second = recall(SECOND)
    assert second.body() is None
    second.look()
    body = second.body()
    assert body is not None
    assert body == bodies.measure(SECOND) == bodies.measure(FIRST)
    assert [second.spares(step) for step in PLAN] == [False, True]
    assert second.build.notes() == {"format": "raw", "disk_of": FIRST}
    assert (second.build.artifacts / "icicle.xml").read_text() == "icicle.xml"
    assert not (second.build.artifacts / "log").exists()
    bodies.remove(FIRST)
    assert content(bodies, SECOND) == DISK


def test_anything_else_is_another_disk(recall: Callable[..., Recall]) -> None:
    finish(recall(FIRST))
    others = [
        recall(SECOND, epoch=8),
        recall(SECOND, (RESOLVE, Do(what="make otherwise"))),
        recall(SECOND, (*PLAN, Do(what="make more"))),
    ]
    for other in others:
        recall(SECOND, other.plan, epoch=8 if other is others[0] else 7)
        other.look()
        assert other.body() is None
        assert not any(map(other.spares, other.plan))


def test_a_disk_that_nobody_has_tested_is_tested_and_nothing_else(
    recall: Callable[..., Recall], bodies: Bodies
) -> None:
    finish(recall(FIRST))
    second = recall(SECOND, JUDGED)
    second.look()
    assert [second.spares(step) for step in JUDGED] == [False, True, False]
    assert second.body() is None
    assert second.build.disk.read_bytes() == DISK
    second.build.note(boot_tested=True, boot_seconds={"bios": 1})
    second.keep(bodies.seal(SECOND, second.build.disk))
    third = recall(THIRD, JUDGED)
    third.look()
    assert third.spares(JUDGED[-1])
    assert third.build.notes()["boot_tested"]
    assert third.build.notes()["disk_of"] == FIRST


def test_without_the_test_nothing_is_said_of_one(recall: Callable[..., Recall]) -> None:
    finish(recall(FIRST, JUDGED), boot_tested=True)
    tested = recall(SECOND, JUDGED)
    tested.look()
    assert tested.spares(JUDGED[-1])
    assert (tested.build.artifacts / "boot.json").exists()
    stricter: Plan = (*PLAN, Judge(what="boot otherwise"))
    third = recall(THIRD, stricter)
    third.look()
    assert not third.spares(stricter[-1])
    assert "boot_tested" not in third.build.notes()
    assert not (third.build.artifacts / "boot.json").exists()


def test_a_disk_that_is_gone_or_damaged_is_made(
    recall: Callable[..., Recall], bodies: Bodies
) -> None:
    finish(recall(FIRST))
    if bodies.plain:
        with bodies.path(FIRST).open("r+b") as body:
            body.write(b"Boot")
        second = recall(SECOND)
        second.look()
        assert second.body() is None
        finish(recall(FIRST))
    bodies.remove(FIRST)
    second = recall(SECOND)
    second.look()
    assert second.body() is None
    assert bodies.size(SECOND) is None


def test_what_came_from_a_network_is_taken_for_a_while(recall: Callable[..., Recall]) -> None:
    fresh: Plan = (RESOLVE, Do(what="fetch", good=60.0))
    first = recall(FIRST, fresh)
    (first.build.scratch / AS_OF).write_text("1000.0")
    finish(first)
    second = recall(SECOND, fresh)
    second.look()
    assert second.body() is None
    first.build.disk.write_bytes(DISK)
    (first.build.scratch / AS_OF).unlink()
    finish(first)
    third = recall(THIRD, fresh)
    third.look()
    assert third.body() is not None
    never: Plan = (RESOLVE, Do(what="fetch", good=0))
    finish(recall(FIRST, never))
    second = recall(SECOND, never)
    second.look()
    assert second.body() is None


def test_who_makes_the_same_disk_is_waited_for(recall: Callable[..., Recall]) -> None:
    first, second = recall(FIRST), recall(SECOND)
    first.look()
    waiting = Thread(target=second.look)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    finish(first)
    first.build.cleanup.close()
    waiting.join(5)
    assert not waiting.is_alive()
    assert second.body() is not None


def test_who_waits_can_be_cancelled(recall: Callable[..., Recall]) -> None:
    recall(FIRST).look()
    second = recall(SECOND)
    second.build.tools.cancellation.request()
    with pytest.raises(Cancelled):
        second.look()


def test_what_the_cache_says_may_be_nonsense(recall: Callable[..., Recall], tmp_path: Path) -> None:
    finish(recall(FIRST))
    (record,) = (tmp_path / "cache" / "images").glob("*.json")
    for text in ("", "{", json.dumps({"image": FIRST})):
        record.write_text(text)
        second = recall(SECOND)
        second.look()
        assert second.body() is None
        second.build.cleanup.close()
