"""The sub-command `worker`: runs builds until it is told to stop."""

import argparse
import os
import signal
import threading

from imagefactory.builds import program_log
from imagefactory.builds.worker import run_worker
from imagefactory.core.config import Config


def worker(_options: argparse.Namespace, config: Config) -> int:
    """`imagefactory worker`: SIGTERM and Ctrl-C stop it in good order; its next life goes on."""
    program_log.start(verbose=True, debug=False)
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    run_worker(config, executor=f"worker-{os.getpid()}", stop=stop)
    return 0
