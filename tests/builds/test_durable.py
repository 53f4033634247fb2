"""What `builds.work` promises, held against the durable engine that is behind it."""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from fakes.patience import until
from imagefactory.builds.durable import DurableWork
from imagefactory.builds.executors import Executors
from imagefactory.builds.runner import Runner
from imagefactory.builds.work import Interrupted, Job, Perform, Record, State

ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"


@pytest.fixture
def work(tmp_path: Path) -> Iterator[DurableWork]:
    work = DurableWork(tmp_path / "work.db", executors=Executors(folder=tmp_path / "executors"))
    yield work
    work.close()


@contextmanager
def running(
    folder: Path,
    perform: Perform,
    *,
    executor: str = "local",
    private: bool = False,
    abilities: Collection[str] = (),
) -> Iterator[None]:
    """A process that does jobs, as far as one can be played inside the test's."""
    executors = Executors(folder=folder / "executors")
    with executors.live(executor, patience=0, abilities=None if private else abilities):
        runner = Runner(
            folder / "work.db",
            executor=executor,
            private=private,
            sessions=1,
            perform=perform,
            abilities=abilities,
        )
        runner.start()
        try:
            yield
        finally:
            runner.stop()


def test_jobs_wait_for_a_worker_and_are_done_in_order(work: DurableWork, tmp_path: Path) -> None:
    done: list[tuple[Job, str]] = []
    work.submit(Job.BUILD, ONE)
    work.submit(Job.BUILD, TWO)
    assert work.status(ONE) is State.WAITING
    assert work.active() == {ONE, TWO}
    with running(tmp_path, lambda job, image_id, _: done.append((job, image_id))):
        until(lambda: not work.active())
    assert done == [(Job.BUILD, ONE), (Job.BUILD, TWO)]
    assert work.status(ONE) is State.IDLE


def test_a_finished_step_is_kept_and_an_unfinished_one_is_not(
    work: DurableWork, tmp_path: Path
) -> None:
    calls: list[str] = []
    kept: list[object] = []
    lives = iter(["interrupted", "failed", "whole"])

    def perform(_job: Job, _image_id: str, record: Record) -> None:
        life = next(lives)
        kept.append(record("first", _noting(calls, "first")))
        if life == "interrupted":
            raise Interrupted
        if life == "failed":
            try:
                record("second", _failing)
            except LookupError as error:
                raise Interrupted from error  # the process died before it could settle anything
        kept.append(record("second", _noting(calls, "second")))

    work.submit(Job.BUILD, ONE)
    for life in (1, 2):
        with running(tmp_path, perform):
            until(partial(_holds, kept, life))
            assert work.status(ONE) is State.RUNNING
    with running(tmp_path, perform):
        until(lambda: not work.active())
    assert calls == ["first", "second"]
    assert kept == [{"did": "first"}] * 3 + [{"did": "second"}]


def test_what_a_step_raises_arrives_as_it_was(work: DurableWork, tmp_path: Path) -> None:
    raised: list[Exception] = []

    def perform(_job: Job, _image_id: str, record: Record) -> None:
        try:
            record("second", _failing)
        except LookupError as error:
            raised.append(error)

    work.submit(Job.BUILD, ONE)
    with running(tmp_path, perform):
        until(lambda: not work.active())
    assert [str(error) for error in raised] == ["no luck"]


def test_a_cancelled_job_that_nobody_has_begun_is_dropped(
    work: DurableWork, tmp_path: Path
) -> None:
    done: list[str] = []
    work.submit(Job.BUILD, ONE)
    work.submit(Job.BUILD, TWO)
    work.cancel(ONE)
    assert work.active() == {TWO}
    with running(tmp_path, lambda _job, image_id, _record: done.append(image_id)):
        until(lambda: not work.active())
    assert done == [TWO]


def test_a_worker_with_limits_does_only_what_needs_them(work: DurableWork, tmp_path: Path) -> None:
    done: list[str] = []

    def perform(_job: Job, image_id: str, _record: Record) -> None:
        done.append(image_id)

    work.submit(Job.BUILD, ONE, need="x86_64")  # there is nobody yet who is limited
    with running(tmp_path, perform, executor="pusher", abilities=["push"]):
        work.submit(Job.BUILD, TWO, need="push")
        until(lambda: work.active() == {ONE})
        work.resume()
        assert work.status(ONE) is State.WAITING, "nobody can build it"
        assert done == [TWO]
    with running(tmp_path, perform):
        until(lambda: done == [TWO, ONE])


def test_jobs_of_limited_workers_that_have_ended_are_done_by_others(
    work: DurableWork, tmp_path: Path
) -> None:
    done: list[str] = []
    executors = Executors(folder=tmp_path / "executors")
    with executors.live("pusher", patience=0, abilities=["push"]):
        work.submit(Job.BUILD, ONE, need="push")
    with running(tmp_path, lambda _job, image_id, _record: done.append(image_id)):
        work.resume()
        until(lambda: done == [ONE])


def test_a_limited_worker_takes_over_what_waits_for_nobody(
    work: DurableWork, tmp_path: Path
) -> None:
    done: list[str] = []
    work.submit(Job.BUILD, ONE, need="aarch64")
    work.submit(Job.DELETE, TWO, need="push")
    with running(
        tmp_path,
        lambda _job, image_id, _record: done.append(image_id),
        executor="special",
        abilities=["aarch64", "push"],
    ):
        work.resume()
        until(lambda: {*done} == {ONE, TWO})


def test_deletions_do_not_wait_behind_builds(work: DurableWork, tmp_path: Path) -> None:
    go_on = threading.Event()
    done: list[Job] = []

    def perform(job: Job, _image_id: str, _record: Record) -> None:
        if job is Job.BUILD:
            go_on.wait(10)
        done.append(job)

    work.submit(Job.BUILD, ONE)
    with running(tmp_path, perform):
        until(lambda: work.status(ONE) is State.RUNNING)
        work.submit(Job.DELETE, TWO)
        until(lambda: done == [Job.DELETE])
        go_on.set()
        until(lambda: not work.active())


def test_what_a_dead_process_kept_for_itself_is_taken_over(
    work: DurableWork, tmp_path: Path
) -> None:
    executors = Executors(folder=tmp_path / "executors")
    private = DurableWork(tmp_path / "work.db", executors=executors, private_to="cli-1")
    private.submit(Job.BUILD, ONE)
    private.close()
    done: list[str] = []
    with running(tmp_path, lambda _job, image_id, _record: done.append(image_id)):
        with executors.live("cli-1", patience=0):
            work.resume()
            assert work.status(ONE) is State.WAITING
        work.resume()
        until(lambda: done == [ONE])


def test_jobs_that_ended_long_ago_are_forgotten(work: DurableWork, tmp_path: Path) -> None:
    work.submit(Job.BUILD, ONE)
    with running(tmp_path, lambda _job, _image_id, record: record("step", lambda: None)):
        until(lambda: not work.active())
    work.submit(Job.BUILD, TWO)
    database = tmp_path / "work.db"
    work.forget(older_than=timedelta(days=1))
    assert _mentions(database, ONE)
    work.forget(older_than=timedelta(0))
    assert not _mentions(database, ONE)
    assert work.active() == {TWO}


def test_the_database_is_the_owners_alone(work: DurableWork, tmp_path: Path) -> None:
    work.submit(Job.BUILD, ONE)
    assert (tmp_path / "work.db").stat().st_mode & 0o077 == 0


def _mentions(database: Path, image_id: str) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        return f"{image_id}." in "\n".join(connection.iterdump())


def _holds(values: list[object], number: int) -> bool:
    return len(values) == number


def _noting(calls: list[str], name: str) -> Callable[[], dict[str, str]]:
    def action() -> dict[str, str]:
        calls.append(name)
        return {"did": name}

    return action


def _failing() -> None:
    msg = "no luck"
    raise LookupError(msg)
