"""The port to durable work on DBOS: handing jobs in, from any process."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagefactory.builds.executors import Executors
from imagefactory.builds.work import Job, State
from imagefactory.store.work import open_work

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions, WorkflowStatus

log = logging.getLogger(__name__)

NAME: Final = "imagefactory"
#: Raised when jobs that an older program has begun cannot be gone on with; a job waits for its version.
VERSION: Final = "1"

_BUILD: Final = "build"
_CARE: Final = "care"  #: what must not wait behind builds
_ANY: Final = "any"  #: in the id of a job that needs no ability
_WAITING: Final = ["ENQUEUED", "DELAYED"]
_BEGUN: Final = "PENDING"
_ENDED: Final = ["SUCCESS", "ERROR", "CANCELLED"]


def lane(job: Job, *, private_to: str | None = None, ability: str | None = None) -> str:
    """The queue of a job: one for all workers, for those that are limited to an ability, or for one alone."""
    if private_to is not None:
        return private_to
    general = _BUILD if job is Job.BUILD else _CARE
    return general if ability is None else f"{general}.{ability}"


def lanes(abilities: Collection[str], *, private_to: str | None = None) -> dict[str, Job]:
    """The queues that a worker with these limits serves, each with a job of the kind that is in it."""
    served = {lane(job, private_to=private_to): job for job in Job if job is not Job.BUILD}
    if private_to is not None or not abilities:
        return served | {lane(Job.BUILD, private_to=private_to): Job.BUILD}
    special = (Job.BUILD, Job.DELETE)
    return served | {lane(job, ability=each): job for each in sorted(abilities) for job in special}


class DurableWork:
    """`Work` in a database of its own, on DBOS. Connects when it is first asked.

    With `private_to`, jobs are for that executor alone; others may have them when it is dead.
    """

    def __init__(self, path: Path, *, executors: Executors, private_to: str | None = None) -> None:
        self._path = path
        self._executors = executors
        self._private_to = private_to
        self._lock = threading.Lock()
        self._connected: tuple[DBOSClient, Callable[[], None]] | None = None

    def submit(self, job: Job, image_id: str, *, need: str | None = None) -> None:
        options: EnqueueOptions = {
            "workflow_name": job.value,
            "queue_name": self._lane(job, need),
            "workflow_id": f"{image_id}.{need or _ANY}.{job}.{uuid.uuid4().hex[:8]}",
            "app_version": VERSION,
            "application_name": NAME,
        }
        self._client().enqueue(options, image_id)

    def cancel(self, image_id: str) -> None:
        waiting = self._jobs(workflow_id_prefix=f"{image_id}.", states=_WAITING)
        self._client().cancel_workflows([job.workflow_id for job in waiting])

    def resume(self) -> None:
        begun = self._jobs(states=[_BEGUN])
        waiting = self._jobs(states=_WAITING)
        kept = [job for job in waiting if _is_private(job)]
        self._bring_to_the_living([job for job in waiting if not _is_private(job)])
        owners = {job.executor_id for job in begun} | {job.queue_name for job in kept}
        for owner in owners - {None}:
            with self._executors.inherit(str(owner)) as dead:
                if dead:
                    self._take_over(str(owner))

    def status(self, image_id: str) -> State:
        jobs = self._jobs(workflow_id_prefix=f"{image_id}.", states=[*_WAITING, _BEGUN])
        if any(job.status == _BEGUN for job in jobs):
            return State.RUNNING
        return State.WAITING if jobs else State.IDLE

    def forget(self, *, older_than: timedelta) -> None:
        before = datetime.now(UTC) - older_than
        ended = self._jobs(states=_ENDED, completed_before=before.isoformat())
        self._client().delete_workflows([job.workflow_id for job in ended])

    def counts(self) -> Mapping[State, int]:
        waiting, begun = (len(self._jobs(states=states)) for states in (_WAITING, [_BEGUN]))
        return {State.WAITING: waiting, State.RUNNING: begun}

    def active(self) -> frozenset[str]:
        jobs = self._jobs(states=[*_WAITING, _BEGUN])
        return frozenset(_image_of(job) for job in jobs)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            if self._connected is not None:
                client, dispose = self._connected
                client.destroy()
                dispose()
                self._connected = None

    def _lane(self, job: Job, need: str | None) -> str:
        """The queue of a job that needs an ability: of those who are limited to it, if any are alive."""
        if need is None or self._private_to is not None:
            return lane(job, private_to=self._private_to)
        special = any(need in limits for limits in self._executors.limits())
        return lane(job, ability=need if special else None)

    def _bring_to_the_living(self, waiting: Iterable[WorkflowStatus]) -> None:
        """Move jobs that wait for workers which have ended to those that could do them as well."""
        served = {name for limits in self._executors.limits() for name in lanes(limits)}
        for job in waiting:
            if job.queue_name not in served:
                right = self._lane(Job(job.name), _need_of(job))
                if right in served:
                    log.info("Giving %s to another worker", job.workflow_id)
                    self._client().resume_workflow(job.workflow_id, queue_name=right)

    def _take_over(self, owner: str) -> None:
        """Bring the jobs of a dead executor to the queues that we serve. Its lock is ours meanwhile."""
        begun = self._jobs(states=[_BEGUN], executor_id=owner)
        kept = self._jobs(states=_WAITING, queue_name=owner)
        for job in [*begun, *kept]:
            log.info("Going on with %s, which %s has left", job.workflow_id, owner)
            queue = self._lane(Job(job.name), _need_of(job))
            self._client().resume_workflow(job.workflow_id, queue_name=queue)
        self._client().delete_queue(owner)  # one that worked for itself had a queue of its name

    def _jobs(self, *, states: Sequence[str], **narrow: Any) -> list[WorkflowStatus]:
        return self._client().list_workflows(
            status=list(states), load_input=False, load_output=False, **narrow
        )

    def _client(self) -> DBOSClient:
        with self._lock:
            if self._connected is None:
                # It takes as long to import as all the rest of a daemon's start.
                from dbos import DBOS, DBOSClient  # noqa: PLC0415
                from dbos import DBOSPortableJSONSerializer as Json  # noqa: PLC0415

                quieten()
                engine = open_work(self._path)
                DBOS.migrate(f"sqlite:///{self._path}")
                client = DBOSClient(
                    system_database_engine=engine, serializer=Json(), application_name=NAME
                )
                self._connected = client, engine.dispose
            return self._connected[0]


def quieten() -> None:
    """Make DBOS log through our handlers, and only what somebody has to know."""
    theirs = logging.getLogger("dbos")
    if not theirs.handlers:
        theirs.addHandler(
            logging.NullHandler()
        )  # or it would bring one that writes to the terminal
    theirs.setLevel(logging.WARNING)


def _image_of(job: WorkflowStatus) -> str:
    return job.workflow_id.partition(".")[0]


def _is_private(job: WorkflowStatus) -> bool:
    return str(job.queue_name).partition(".")[0] not in {_BUILD, _CARE}


def _need_of(job: WorkflowStatus) -> str | None:
    """What its id says; an older program has said nothing."""
    _, need, *more = job.workflow_id.split(".")
    return need if len(more) > 1 and need != _ANY else None
