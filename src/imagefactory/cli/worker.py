"""The sub-command `worker`: runs builds until it is told to stop."""

import argparse
import logging
import os
import signal
import threading
from types import FrameType

from imagefactory.builds import settings
from imagefactory.builds.worker import run_worker
from imagefactory.cli.main import flags


def worker(options: argparse.Namespace) -> int:
    """`imagefactory worker`."""
    config = settings.load(file=options.config, flags=flags(options))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    run_worker(config, executor=f"worker-{os.getpid()}", stop=stop)
    return 0
