"""Does the jobs: the one place where a build ends, and becomes COMPLETE or FAILED."""

import errno
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from imagefactory.builds.abilities import checked
from imagefactory.builds.callbacks import Postman
from imagefactory.builds.claim import claim
from imagefactory.builds.deletion import Deletion
from imagefactory.builds.events import BuildLog
from imagefactory.builds.making import Making
from imagefactory.builds.resolution import Resolutions
from imagefactory.builds.runner import Runner
from imagefactory.builds.scratch import Scratch
from imagefactory.builds.settle import UNDER_WAY, Settlement, parent_failed
from imagefactory.builds.work import Interrupted, Job, Record
from imagefactory.builds.workshop import Workshop, executors, work_file
from imagefactory.core.config import Config
from imagefactory.core.errors import (
    BuildError,
    Cancelled,
    FactoryError,
    FetchError,
    PackageError,
    RequestError,
    SpaceError,
    StoreError,
    VerificationError,
)
from imagefactory.core.images import Image, Status
from imagefactory.core.lock import Lock
from imagefactory.core.masking import masked_text
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.eviction import Eviction
from imagefactory.engine.sandbox import Sandbox

log = logging.getLogger(__name__)

_LOOK: Final = 0.3  #: seconds between looks at who wants a build stopped
_SWEEP: Final = 5.0  #: seconds between looks at what dead processes have left
_MEMORY: Final = timedelta(days=7)  #: how long the durable engine knows jobs that have ended
_KEPT: Final = 3  #: failed builds whose scratch folders are kept
#: what another attempt must not go on with: what was resolved may be out of date, or takes the room
_AFRESH: Final = (Cancelled, FetchError, PackageError, RequestError, SpaceError, VerificationError)
_MIB: Final = 1 << 20
_PATIENCE: Final = 10.0  #: seconds for a predecessor to end, and for builds to stop


class Worker:
    """Does jobs for one workshop, in as many threads as it is called from."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._settlement = Settlement(workshop=workshop)
        self._lock = threading.Lock()
        self._running: dict[str, Cancellation] = {}
        self._jobs = 0
        self._stopping = threading.Event()

    def perform(self, job: Job, image_id: str, record: Record) -> None:
        """`work.Perform`. A job that another process already does, or that is done, does nothing."""
        with self._busy():
            self._perform(job, image_id, record)

    def tend(self, stop: threading.Event, *, sweep: bool = True) -> None:
        """Look after the jobs until told to stop: cancel what somebody cancelled, resume what was left.

        Without `sweep`, what others have left is left to others.
        """
        swept = float("-inf") if sweep else float("inf")
        while not stop.is_set():
            try:
                self._pass_on_cancellations()
                if time.monotonic() > swept + _SWEEP:
                    self._sweep()
                    swept = time.monotonic()
            except StoreError:
                log.exception("The store could not be looked at")
            stop.wait(_LOOK)

    def interrupt(self) -> None:
        """Stop all builds in good order; the next life of this worker goes on with them."""
        self._stopping.set()
        with self._lock:
            for cancellation in self._running.values():
                cancellation.request()

    def give_up(self) -> None:
        """Cancel all builds, for nobody will go on with them."""
        with self._lock:
            for cancellation in self._running.values():
                cancellation.request()

    def wait(self, seconds: float) -> bool:
        """Wait until no job is being done, at most so long; whether that is so."""
        ends = time.monotonic() + seconds
        while self._jobs and time.monotonic() < ends:
            time.sleep(0.05)
        return not self._jobs

    def _perform(self, job: Job, image_id: str, record: Record) -> None:
        if job is Job.LOCK:
            self._lock_packages(image_id)
            return
        if self._workshop.store.get(image_id) is None:
            return
        with claim(self._artifacts(image_id)) as mine:
            image = self._workshop.store.get(image_id)
            if not mine or image is None:
                return
            match job:
                case Job.BUILD:
                    self._build(image, record)
                case Job.CANCEL:
                    self._cancel(image)
                case Job.DELETE:
                    self._delete(image)
        self._settlement.release(image_id)

    def _lock_packages(self, ref: str) -> None:
        resolutions = Resolutions(workshop=self._workshop)
        found: list[Lock] = []
        failure = self._attempt(lambda: found.append(resolutions.make(ref)), ref, tell=log.info)
        resolutions.tell(ref, failure or found[0])

    def _build(self, image: Image, record: Record) -> None:
        if image.status not in UNDER_WAY or not self._is_ready(image):
            self._scratch(image.id).clear()
            return
        if self._stopping.is_set():
            raise Interrupted
        with (
            self._running_as(image.id) as cancellation,
            BuildLog(self._artifacts(image.id)) as told,
        ):

            def make() -> None:
                if image.cancel_requested:
                    cancellation.request()
                cancellation.check()
                making = Making(
                    workshop=self._workshop,
                    image=self._settlement.begin(image.id),
                    scratch=self._scratch(image.id),
                    artifacts=self._artifacts(image.id),
                    log=told,
                    cancellation=cancellation,
                    record=record,
                )
                self._settlement.complete(image.id, making.run())

            try:
                failure = self._attempt(make, image.id, tell=told)
            except Interrupted:
                self._scratch(image.id).return_life()
                raise
            if failure is not None and cancellation.requested:
                failure = Cancelled("The build was cancelled")
            if failure is not None:
                self._fail(image.id, failure)
            self._tidy(image.id, failure)

    def _tidy(self, image_id: str, failure: FactoryError | None) -> None:
        """Remove what a build has left, unless another attempt may go on with it."""
        scratch = self._scratch(image_id)
        outdated = failure is None or isinstance(failure, _AFRESH)
        if outdated or not self._workshop.config.keep_failed or not scratch.finished():
            scratch.clear()
        else:
            scratch.keep()
        config = self._workshop.config
        sandbox = Sandbox(state=config.state, tools=Tools())
        eviction = Eviction(cache=config.cache, scratch=config.scratch, sandbox=sandbox)
        if freed := eviction.run(config.cache_limit * _MIB):
            log.info("%d MiB of the cache were removed, to stay below its limit", freed // _MIB)

    def _is_ready(self, image: Image) -> bool:
        """Whether what an image is made from is there; if it never will be, the image fails."""
        parent = self._workshop.store.get(image.parent_id) if image.parent_id else None
        if parent is None or parent.status is Status.COMPLETE:
            return True
        if parent.status not in UNDER_WAY:
            self._settlement.fail(image.id, parent_failed(image, parent))
        return False

    def _cancel(self, image: Image) -> None:
        """Settle an image that nobody builds: who does so notices by himself."""
        if image.cancel_requested:
            self._settlement.fail(image.id, Cancelled("The build was cancelled"))
            self._scratch(image.id).clear()

    def _delete(self, image: Image) -> None:
        if image.status is not Status.DELETING:
            return
        self._settlement.abandon(image)
        deletion = Deletion(
            workshop=self._workshop,
            scratch=self._scratch(image.id),
            artifacts=self._artifacts(image.id),
        )
        failure = self._attempt(lambda: deletion.run(image), image.id, tell=log.warning)
        if failure is not None:
            self._settlement.fail_delete(image.id, failure)

    def _attempt(
        self, action: Callable[[], None], image_id: str, *, tell: Callable[[str], None]
    ) -> FactoryError | None:
        """Run an action; whatever it raises becomes the one sentence that people are shown."""
        try:
            action()
        except Exception as error:
            if self._stopping.is_set():
                raise Interrupted from error
            failure = _sentence(error, image_id)
            if not isinstance(error, FactoryError):
                log.exception("The image %s met a bug", image_id)
                tell(masked_text("".join(traceback.format_exception(error))))
            tell(f"{failure.brief}" + (f"\n{failure.hint}" if failure.hint else ""))
            return failure
        return None

    def _fail(self, image_id: str, failure: FactoryError) -> None:
        try:
            self._settlement.fail(image_id, failure)
        except (StoreError, OSError):
            # The disk may be full; what the build has left is what can be spared.
            self._scratch(image_id).clear()
            self._settlement.fail(image_id, failure)

    def _pass_on_cancellations(self) -> None:
        with self._lock:
            running = dict(self._running)
        for image_id in self._workshop.store.cancel_requested(running) if running else ():
            running[image_id].request()

    def _sweep(self) -> None:
        """Take over what dead processes have left, and what a crash has left without a job."""
        self._workshop.work.resume()
        self._forget_failed()
        unfinished = self._workshop.store.unfinished()
        active = self._workshop.work.active() if unfinished else ()
        for image in unfinished:
            if image.id not in active:
                self._settlement.nudge(image)

    def _forget_failed(self) -> None:
        """Remove the scratch folders of builds that failed long ago, or before several others."""
        oldest = time.time() - self._workshop.config.keep_failed
        folder = self._workshop.config.scratch
        kept = [self._scratch(path.name) for path in folder.iterdir()] if folder.is_dir() else []
        newest_first = sorted(kept, key=Scratch.kept_since, reverse=True)
        for number, scratch in enumerate(newest_first):
            if 0 < scratch.kept_since() < oldest or number >= _KEPT:
                self._forget(scratch)

    def _forget(self, scratch: Scratch) -> None:
        image = self._workshop.store.get(scratch.folder.name)
        if image is None or image.status is not Status.FAILED:
            return
        with claim(self._artifacts(image.id)) as mine:
            image = self._workshop.store.get(image.id)
            if mine and image is not None and image.status is Status.FAILED:
                scratch.clear()
        self._settlement.release(scratch.folder.name)  # a retry may have found the image taken

    @contextmanager
    def _busy(self) -> Iterator[None]:
        with self._lock:
            self._jobs += 1
        try:
            yield
        finally:
            with self._lock:
                self._jobs -= 1

    @contextmanager
    def _running_as(self, image_id: str) -> Iterator[Cancellation]:
        cancellation = Cancellation()
        with self._lock:
            self._running[image_id] = cancellation
            if self._stopping.is_set():
                cancellation.request()
        try:
            yield cancellation
        finally:
            with self._lock:
                del self._running[image_id]

    def _artifacts(self, image_id: str) -> Path:
        return self._workshop.config.artifacts / image_id

    def _scratch(self, image_id: str) -> Scratch:
        config = self._workshop.config
        return Scratch(state=config.state, folder=config.scratch / image_id)


def _sentence(error: Exception, image_id: str) -> FactoryError:
    match error:
        case FactoryError():
            return error
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            msg = f'The host has no room left for the image "{image_id}"'
            return SpaceError(msg, hint="Delete images, or make the file system larger")
        case _:
            return BuildError(f'Internal error, see the log of "{image_id}"')


def run_worker(config: Config, *, executor: str, stop: threading.Event) -> None:
    """Do jobs as this executor until told to stop; builds that are under way go on in its next life.

    `ConfigError` when another process works under the same name.
    """
    # Whoever hands jobs in has taken stock: what a worker is told of is recorded.
    with Workshop.open(config, stocked=False) as workshop:
        serve(workshop, executor=executor, stop=stop)


def serve(workshop: Workshop, *, executor: str, stop: threading.Event) -> None:
    """Like `run_worker`, in a workshop that is open."""
    with _serving(workshop, executor) as worker:
        workshop.vault.sweep()
        workshop.work.forget(older_than=_MEMORY)
        limits = ", ".join(workshop.config.abilities) or "everything"
        log.info("The worker %s works on %s and does %s", executor, workshop.config.state, limits)
        try:
            worker.tend(stop)
        finally:
            worker.interrupt()


@contextmanager
def working_here(workshop: Workshop, executor: str) -> Iterator[None]:
    """Do in this process what it hands in; what is not done at the end of the block is cancelled."""
    stop = threading.Event()
    with _serving(workshop, executor, private=True) as worker:
        tender = threading.Thread(
            target=worker.tend, args=(stop,), kwargs={"sweep": False}, name="tender", daemon=True
        )
        tender.start()
        try:
            yield
        finally:
            worker.give_up()
            worker.wait(_PATIENCE)
            stop.set()
            tender.join()


@contextmanager
def _serving(workshop: Workshop, executor: str, *, private: bool = False) -> Iterator[Worker]:
    worker = Worker(workshop)
    postman = Postman(
        store=workshop.store,
        secrets=workshop.config.callback_secrets,
        allowed=workshop.callback_networks,
    )
    abilities = None if private else checked(workshop.config.abilities)
    with executors(workshop.config).live(executor, patience=_PATIENCE, abilities=abilities):
        runner = Runner(
            work_file(workshop.config),
            executor=executor,
            private=private,
            sessions=workshop.config.max_concurrent_local_sessions,
            perform=worker.perform,
            abilities=abilities or (),
        )
        runner.start()
        try:
            with postman.at_work():
                yield worker
        finally:
            if not worker.wait(_PATIENCE):
                log.warning("A job has not stopped yet; the program ends when it has")
            runner.stop()
