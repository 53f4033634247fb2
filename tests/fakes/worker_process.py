"""A worker in a process of its own, which a test may kill and start again."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Final

from fakes.plugins import fake_registry
from imagefactory.builds.worker import serve
from imagefactory.builds.workshop import Workshop
from imagefactory.core.config import Config

# Forked from a process that has imported everything: a life costs a tenth of a second, not two.
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def start(config: Config, *, executor: str = "local") -> BaseProcess:
    """A worker process with the fake plugins."""
    process = _CONTEXT.Process(target=_work, args=(config, executor), daemon=True)
    process.start()
    return process


@contextmanager
def at_work(config: Config, *, executor: str = "local") -> Iterator[BaseProcess]:
    """A worker process that is stopped in good order at the end of the block."""
    process = start(config, executor=executor)
    try:
        yield process
    finally:
        process.terminate()
        process.join(10)
        process.kill()
        process.join()


def _work(config: Config, executor: str) -> None:
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    with Workshop.open(config, plugins=fake_registry(config)) as workshop:
        serve(workshop, executor=executor, stop=stop)
