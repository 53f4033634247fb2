"""Becoming a daemon: leaving the terminal, and telling whoever started us whether that went well."""

import contextlib
import faulthandler
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imagefactory.core.errors import FactoryError
from imagefactory.engine.files import write_atomically

log = logging.getLogger(__name__)

Ready = Callable[[], None]

_READY: Final = b"ready"


def detached(work: Callable[[Ready], None], *, explain: Callable[[FactoryError], str]) -> int:
    """Run `work(ready)` in a process of its own; returns in both, with the exit status of each.

    The caller's returns when `ready` was called, or when `work` has failed: then it says why. So
    a shell, or systemd with `Type=forking`, may use the daemon as soon as the command has ended.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        return _outcome(reader)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)  # a session's leader could get a terminal again (setsid(2))
    os.umask(0o077)
    os.chdir("/")

    pipe = _Pipe(writer)
    try:
        work(lambda: pipe.tell(_READY))
    except FactoryError as error:
        pipe.tell(explain(error).encode())
        return 1
    return 0


class _Pipe:
    """The way to whoever started us: takes one message, and forgets what comes after it."""

    def __init__(self, writer: int) -> None:
        self._writer: int | None = writer

    def tell(self, message: bytes) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            log.error("%s", message.decode().strip())
            return
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more
            os.write(writer, message)
        os.close(writer)


def _outcome(reader: int) -> int:
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read()
    if message == _READY:
        return 0
    sys.stderr.write(
        message.decode(errors="replace") or "imagefactoryd: It died while starting; see its log\n"
    )
    return 1


def leave_terminal(*, debug_folder: Path | None) -> None:
    """Let standard input and outputs lead nowhere, or into the files that the original used to debug."""
    with Path(os.devnull).open("r+b") as nothing:
        for stream in (0, 1, 2):
            os.dup2(nothing.fileno(), stream)
    if debug_folder is None:
        return
    debug_folder.mkdir(parents=True, exist_ok=True)
    with (debug_folder / "imagefactory.log-stderr_debug").open("ab") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    crashes = (debug_folder / "imagefactory.log-faulthandler").open("ab")
    faulthandler.enable(crashes)


@contextmanager
def pid_in(path: Path) -> Iterator[None]:
    """The process id in a file while the block runs."""
    write_atomically(path, f"{os.getpid()}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
