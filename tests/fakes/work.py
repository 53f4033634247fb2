"""Durable work that is neither durable nor done before the test says so."""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from imagefactory.builds.work import ABILITIES, Job, Perform, State

T = TypeVar("T")


class Inbox:
    """`work.Work` as a list of what was handed in, oldest first."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Job, str]] = deque()

    def submit(self, job: Job, image_id: str, *, need: str | None = None) -> None:
        assert need in {None, *ABILITIES}
        self.jobs.append((job, image_id))

    def cancel(self, image_id: str) -> None:
        self.jobs = deque(job for job in self.jobs if job[1] != image_id)

    def resume(self) -> None:
        pass

    def status(self, image_id: str) -> State:
        return State.WAITING if image_id in self.active() else State.IDLE

    def forget(self, *, older_than: timedelta) -> None:
        pass

    def counts(self) -> Mapping[State, int]:
        return {State.WAITING: len(self.jobs), State.RUNNING: 0}

    def active(self) -> frozenset[str]:
        return frozenset(image_id for _, image_id in self.jobs)

    def take(self) -> tuple[Job, str]:
        """The job that has waited longest."""
        return self.jobs.popleft()

    def drain(self, perform: Perform) -> None:
        """Do all jobs, and those that they hand in."""
        while self.jobs:
            job, image_id = self.take()
            perform(job, image_id, unrecorded)


def unrecorded(name: str, action: Callable[[], T]) -> T:
    """`work.Record` for a job that has one life."""
    assert name
    return action()
