"""The log of a program, as opposed to a build's: its format, its level, and where it lies."""

import logging
import os
import sys
import traceback
from logging.handlers import WatchedFileHandler
from pathlib import Path
from types import TracebackType
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.masking import masked_text

log = logging.getLogger(__name__)

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s thread(%(threadName)s) Message: %(message)s"  #: the original's

_SYSTEM_STATE: Final = Path("/var/lib/imagefactory")
#: libraries that tell too much, and what is heard of them: those of clouds log requests and answers with
#: the keys in them, and what the last two say of a request that they refuse may come from a form with a
#: password in it
_QUIETER: Final = {
    "alembic": logging.WARNING,
    "boto3": logging.WARNING,
    "botocore": logging.WARNING,
    "dbos": logging.WARNING,
    "httpcore2": logging.WARNING,
    "httpx2": logging.WARNING,
    "keystoneauth": logging.WARNING,
    "keystoneauth1": logging.WARNING,
    "urllib3": logging.WARNING,
    "oauthlib": logging.ERROR,
    "python_multipart": logging.ERROR,
}
_REQUESTS: Final = "uvicorn"  #: clients poll: a line for each look would bury what is being built


def start(*, verbose: bool, debug: bool, file: Path | None = None) -> None:
    """Log to a file, or to standard error. A file that logrotate has moved away is opened anew."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        sys.excepthook = _log_bug
    target = logging.StreamHandler() if file is None else WatchedFileHandler(file)
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format=FORMAT, handlers=[target], force=True)
    logging.captureWarnings(capture=True)
    for name, heard in _QUIETER.items():
        logging.getLogger(name).setLevel(heard)
    if not debug:
        logging.getLogger(_REQUESTS).setLevel(logging.WARNING)


def _log_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody has expected ends the program: where standard error leads nowhere, the log says why."""
    text = "".join(traceback.format_exception(kind, error, trace))
    log.critical("The program ends with a bug\n%s", masked_text(text))


def log_file(config: Config, name: str) -> Path:
    """Where a log lies: with the system's own for the system's factory, else below the state folder."""
    return (Path("/var/log") if _is_system(config) else config.state / "log") / name


def pid_file(config: Config) -> Path:
    """Where the daemon writes its process id."""
    folder = Path("/var/run") if _is_system(config) else config.state
    return folder / "imagefactoryd.pid"


def _is_system(config: Config) -> bool:
    return os.geteuid() == 0 and config.state == _SYSTEM_STATE
