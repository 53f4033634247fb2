"""The only place that starts a tool."""

import logging
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from imagefactory.core.errors import BuildError, Cancelled, CommandFailed, ToolMissing
from imagefactory.engine.host import SEARCH_PATH, package_of

log = logging.getLogger(__name__)

Word = str | os.PathLike[str]
Process = subprocess.Popen[bytes]  #: a tool that runs

TAIL_LINES: Final = 20
_TICK: Final = (
    0.1  # seconds between looks at the cancellation; a cancelled tool is gone in under 2 s
)


@dataclass(frozen=True)
class Cancellation:
    """A request to stop that one thread makes and another notices."""

    _event: threading.Event = field(default_factory=threading.Event)

    def request(self) -> None:
        """Ask for the stop; may be asked twice."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` when somebody asked."""
        if self.requested:
            msg = "The build was cancelled"
            raise Cancelled(msg)


def _silent(_line: str) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Starts the tools of one build: their output goes to its log, its cancellation kills them.

    A tool runs in a process group of its own and dies with this process, whatever ends it, so that
    nothing is left behind. Its environment is small and fixed: no secret of the caller's is in it.
    """

    log: Callable[[str], None] = _silent
    cancellation: Cancellation = field(default_factory=Cancellation)
    limit: float | None = None  #: seconds for each tool that is given no other
    path: str = (
        SEARCH_PATH  #: where programs are looked for, by us and by them; tests put fakes in front
    )

    def run(
        self,
        argv: Sequence[Word],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout: float | None = None,
        pass_fds: Sequence[int] = (),
        quiet: bool = False,
        shown_as: Sequence[Word] | None = None,
        watch: Callable[[bytes], None] | None = None,
    ) -> str:
        """Run a tool to its end and return what it wrote to standard output.

        `shown_as` stands for `argv` in the log and in messages, where that is only a wrapping.
        `stdin` never reaches the log; `quiet` keeps standard output out of it too. `watch` is called
        with each piece of standard output as it comes: a tool's progress. Raises `CommandFailed`
        with the last lines, `Cancelled`, or `ToolMissing`.
        """
        shown = argv if shown_as is None else shown_as
        with self.start(
            argv, cwd=cwd, env=env, pass_fds=pass_fds, stdin=stdin, shown_as=shown
        ) as process:
            reader = _Reader(process, log=self.log, quiet=quiet, watch=watch)
            patience = self.limit if timeout is None else timeout
            ends = None if patience is None else time.monotonic() + patience
            while reader.read(_TICK):
                self.cancellation.check()
                if ends is not None and time.monotonic() > ends:
                    msg = f'"{_name(shown)}" took longer than {patience:.0f} s and was stopped'
                    raise BuildError(msg)
            status = process.wait()
            self.cancellation.check()
        if status:
            raise _failed(shown, status, reader.tail)
        return reader.output

    @contextmanager
    def start(
        self,
        argv: Sequence[Word],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        stdin: bytes | None = None,
        shown_as: Sequence[Word] | None = None,
    ) -> Iterator[Process]:
        """A tool that runs while the block does; at its end the whole process group is killed."""
        command = [os.fspath(part) for part in argv]
        if shutil.which(command[0], path=self.path) is None:
            package = package_of(command[0])
            msg = f'The program "{command[0]}" is not installed'
            raise ToolMissing(msg, hint=f'Install the package "{package}"')
        self.cancellation.check()
        shown = argv if shown_as is None else shown_as
        self.log("+ " + shlex.join(os.fspath(part) for part in shown))
        with subprocess.Popen(  # noqa: S603 - arguments are a list, never a shell's line
            ["/usr/bin/setpriv", "--pdeathsig", "KILL", *command],
            cwd=cwd,
            env={"PATH": self.path, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **(env or {})},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
            start_new_session=True,
            umask=0o022,
        ) as process:
            feeder = _feed(process, stdin)
            try:
                yield process
            finally:
                _kill(process)
                if feeder is not None:
                    feeder.join()


def _name(argv: Sequence[Word]) -> str:
    return os.path.basename(os.fspath(argv[0]))  # noqa: PTH119 - a name, not a path


def _feed(process: Process, stdin: bytes | None) -> threading.Thread | None:
    """Write `stdin` from a thread, or a tool that answers before it has read all would block both."""
    if stdin is None:
        return None
    pipe: IO[bytes] | None = process.stdin
    assert pipe is not None  # noqa: S101 - asked for above

    def write() -> None:
        try:
            pipe.write(stdin)
            pipe.close()
        except BrokenPipeError:
            log.debug("A tool closed its standard input before it had read all")

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def _kill(process: Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def _failed(argv: Sequence[Word], status: int, tail: deque[str]) -> CommandFailed:
    how = f"exit status {status}" if status > 0 else f"signal {signal.Signals(-status).name}"
    last = "; ".join(line.strip() for line in list(tail)[-3:] if line.strip())
    brief = f'"{_name(argv)}" failed with {how}' + (f": {last}" if last else "")
    return CommandFailed(brief, exit_status=status, tail="\n".join(tail))


class _Reader:
    """Reads both outputs of a tool without blocking: lines to the log, the last of them kept."""

    def __init__(
        self,
        process: Process,
        *,
        log: Callable[[str], None],
        quiet: bool,
        watch: Callable[[bytes], None] | None,
    ) -> None:
        self._log = log
        self._quiet = quiet
        self._watch = watch
        self._selector = selectors.DefaultSelector()
        self._partial: dict[int, bytes] = {}
        self._chunks: list[bytes] = []
        self._stdout = process.stdout
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                self._selector.register(stream, selectors.EVENT_READ)
                self._partial[stream.fileno()] = b""

    @property
    def output(self) -> str:
        """All of standard output so far."""
        return b"".join(self._chunks).decode(errors="replace")

    def read(self, seconds: float) -> bool:
        """Read what there is, waiting at most so long; False when both outputs have ended."""
        for key, _ in self._selector.select(seconds):
            data = os.read(key.fd, 65536)
            from_stdout = key.fileobj is self._stdout
            if data and from_stdout:
                self._chunks.append(data)
                if self._watch is not None:
                    self._watch(data)
            self._lines(key.fd, data, shown=not (self._quiet and from_stdout))
            if not data:
                self._selector.unregister(key.fileobj)
        if self._selector.get_map():
            return True
        self._selector.close()
        return False

    def _lines(self, fd: int, data: bytes, *, shown: bool) -> None:
        *lines, rest = (self._partial[fd] + data).split(b"\n")
        if not data and rest:
            lines, rest = [rest], b""
        self._partial[fd] = rest
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            if shown:
                self.tail.append(text)
                self._log(text)
