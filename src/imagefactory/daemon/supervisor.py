"""Keeps a worker process alive beside the API."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.errors import FactoryError

log = logging.getLogger(__name__)

_PATIENCE: Final = 20  #: seconds that a worker has to bring its builds to a stop
_DELAYS: Final = (1, 2, 5, 15, 30)  #: seconds; a worker that cannot start must not spin
_HEALTHY: Final = 60  #: seconds of life that make earlier deaths forgotten


class Supervisor:
    """Keeps one worker process running; one that dies is started again, and resumes its builds.

    `set_up_log` is called in the worker: what it logs goes where the daemon's own log goes.
    """

    def __init__(self, config: Config, *, set_up_log: Callable[[], None]) -> None:
        self._config = config
        self._set_up_log = set_up_log
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._context = multiprocessing.get_context("spawn")
        self._process: BaseProcess | None = None
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the worker, and watch it from a thread."""
        self._process = self._spawned()
        self._thread.start()

    def stop(self) -> None:
        """Stop the worker; what it was doing is resumed when the daemon starts again."""
        with self._lock:
            self._stop.set()
        if self._process is None:
            return
        self._process.terminate()
        self._process.join(_PATIENCE)
        self._process.kill()
        self._process.join()

    def _spawned(self) -> BaseProcess:
        process = self._context.Process(
            target=_work, args=(self._config, self._set_up_log), name="worker"
        )
        process.start()
        return process

    def _watch(self) -> None:
        deaths, began = 0, time.monotonic()
        while self._process is not None:
            self._process.join()
            deaths = 0 if time.monotonic() > began + _HEALTHY else deaths
            if self._stop.wait(_DELAYS[min(deaths, len(_DELAYS) - 1)]):
                return
            status = self._process.exitcode
            with self._lock:
                if self._stop.is_set():
                    return
                log.warning("The worker ended with status %s and is started again", status)
                self._process = self._spawned()
            deaths, began = deaths + 1, time.monotonic()


def _work(config: Config, set_up_log: Callable[[], None]) -> None:
    """The worker process; it ends with the daemon, however that ends."""
    from imagefactory.builds.worker import run_worker  # noqa: PLC0415 - the daemon need not load it

    set_up_log()
    os.umask(0o022)  # the daemon's is its own business; in a guest it would shut users out
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, _ignore)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    try:
        run_worker(config, executor="local", stop=stop)
    except FactoryError as error:
        log.error("The worker cannot work: %s", error)  # noqa: TRY400 - it is no bug: no traceback
        os._exit(1)


def _ignore(_number: int, _frame: object) -> None:
    """A handler of ours, since what is ignored stays ignored in every program that is started."""


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
