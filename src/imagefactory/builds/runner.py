"""The process that does durable jobs: DBOS, its queues and its threads."""

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from dbos import DBOS, DBOSClient
from dbos import DBOSPortableJSONSerializer as Json

from imagefactory.builds.durable import NAME, VERSION, lanes, quieten
from imagefactory.builds.work import Job, Perform
from imagefactory.store.work import open_work

T = TypeVar("T")

_BUILD_POLL: Final = 0.1  #: seconds between looks at the queue; a cascade waits three times
_CARE_POLL: Final = 0.3
_CARERS: Final = 4  #: jobs beside the builds at the same time


class Runner:
    """Takes jobs from the queues and has them done, in threads of this process.

    There is one at a time in a process, for DBOS is. What it has begun when the process dies is begun
    again by the next runner of the same name, or by who resumes it.
    """

    def __init__(
        self,
        path: Path,
        *,
        executor: str,
        private: bool,
        sessions: int,
        perform: Perform,
        abilities: Collection[str] = (),
    ) -> None:
        self._path = path
        self._executor = executor
        self._private = private
        self._sessions = sessions
        self._perform = perform
        self._abilities = abilities
        self._dispose: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to take jobs, those first that an earlier life has left."""
        quieten()
        engine = open_work(self._path)
        self._dispose = engine.dispose
        DBOS.migrate(f"sqlite:///{self._path}")
        client = DBOSClient(system_database_engine=engine, serializer=Json(), application_name=NAME)
        queues = self._register_queues(client)
        client.destroy()
        DBOS(
            config={
                "name": NAME,
                "application_version": VERSION,
                "executor_id": self._executor,
                "system_database_engine": engine,
                "serializer": Json(),
                "log_level": logging.getLevelName(logging.WARNING),
                # How often a thread that has nothing to do for us looks whether it is to end.
                "notification_listener_polling_interval_sec": 0.1,
            }
        )
        for job in Job:
            self._register(job)
        DBOS.listen_queues(queues)
        DBOS.launch()

    def stop(self) -> None:
        """Take no more jobs. What still runs goes on in its thread, and is not recorded any more."""
        if self._private:
            DBOS.delete_queue(self._executor)
        DBOS.destroy(destroy_registry=True)
        if self._dispose is not None:
            self._dispose()

    def _register_queues(self, client: DBOSClient) -> list[str]:
        # Before the launch, because DBOS looks for new queues once in a second only.
        mine = self._executor if self._private else None
        served = lanes(self._abilities, private_to=mine)
        for name, job in served.items():
            builds = job is Job.BUILD
            limit, poll = (self._sessions, _BUILD_POLL) if builds else (_CARERS, _CARE_POLL)
            client.register_queue(
                name,
                worker_concurrency=limit,
                polling_interval_sec=poll,
                application_name=NAME,
            )
        return list(served)

    def _register(self, job: Job) -> None:
        def run(image_id: str) -> None:
            self._perform(job, image_id, record)

        # DBOS gives up after so many lives without a word to anybody; the worker does with one.
        DBOS.workflow(name=job.value, max_recovery_attempts=None)(run)


def record(name: str, action: Callable[[], T]) -> T:
    """`work.Record` as a step of the DBOS workflow that runs in this thread."""

    def once() -> T:
        with _Unrecorded():
            return action()

    try:
        return DBOS.run_step({"name": name}, once)
    except _Unfinished as unfinished:
        raise unfinished.error from unfinished.error.__cause__


class _Unfinished(BaseException):
    """Carries what a step has raised past DBOS, which would record it as the step's result."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Unrecorded:
    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            raise _Unfinished(error)
