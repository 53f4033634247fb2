"""The port to the durable engine: which jobs there are, and what can be asked about them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from imagefactory.engine.boot.boards import BOARDS

T = TypeVar("T")

PUSH: Final = "push"  #: bring images to clouds, and remove them there
#: what a worker may be limited to; all but the last are processors that images are built for
ABILITIES: Final = (*BOARDS, PUSH)


class Job(StrEnum):
    """What can be done with an image, by a process that may be killed while it does."""

    BUILD = "build"  #: make it, or find out why it cannot be made
    CANCEL = "cancel"  #: settle it when nobody has begun to build it
    DELETE = "delete"  #: remove it, here and on its provider
    LOCK = "lock"  #: of no image: resolve a template, whose reference stands for the image's id


class State(StrEnum):
    """How far the jobs of an image are."""

    IDLE = "idle"  #: none is under way
    WAITING = "waiting"  #: one waits for a worker
    RUNNING = "running"  #: a worker has one, or had one when it died


class Interrupted(BaseException):
    """This process stops working on an image and settles nothing: its next life goes on from there.

    No `Exception`, so that nobody takes it for the failure of a step.
    """


class Record(Protocol):
    """Runs an action under a name, unless an earlier life of the job has finished it.

    What the action returns is JSON. What it raises is not kept: it runs again in the next life.
    """

    def __call__(self, name: str, action: Callable[[], T]) -> T: ...


Perform = Callable[[Job, str, Record], None]
"""Does one job for the image with this id."""


class Work(Protocol):
    """Where jobs are handed in. They survive the death of every process.

    A job may be handed in any number of times: `Perform` sees to it that it is done once.
    """

    def submit(self, job: Job, image_id: str, *, need: str | None = None) -> None:
        """Hand in a job; it is on the disk when this returns.

        One that needs an ability goes to the workers that are limited to it, while there are any.
        """
        ...

    def cancel(self, image_id: str) -> None:
        """Drop the jobs of an image that no worker has begun."""
        ...

    def resume(self) -> None:
        """Take over what dead processes had begun, had kept for themselves, or alone could have done."""
        ...

    def status(self, image_id: str) -> State:
        """How far the jobs of an image are."""
        ...

    def forget(self, *, older_than: timedelta) -> None:
        """Drop what is kept of jobs that ended so long ago."""
        ...

    def counts(self) -> Mapping[State, int]:
        """How many jobs wait, and how many run."""
        ...

    def active(self) -> frozenset[str]:
        """The ids of all images with a job that waits or runs."""
        ...
