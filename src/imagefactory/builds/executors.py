"""Which processes are alive: each holds a lock that the kernel frees when it dies."""

import fcntl
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.errors import ConfigError

_PAUSE: Final = 0.1  #: seconds between attempts to get a lock


@dataclass(frozen=True, kw_only=True)
class Executors:
    """One lock file for each process that works on jobs: `<name>.lock`, in one folder."""

    folder: Path

    @contextmanager
    def live(
        self, name: str, *, patience: float, abilities: Collection[str] | None = ()
    ) -> Iterator[None]:
        """Be this executor while the block runs, limited to these abilities if there are any.

        None are the abilities of one that works for itself alone.

        `ConfigError` when another process is, and still is after `patience` seconds: a predecessor
        that was told to stop may take a moment.
        """
        ends = time.monotonic() + patience
        while (handle := self._lock(name)) is None:
            if time.monotonic() > ends:
                msg = f'A worker named "{name}" already runs on "{self.folder.parent}"'
                raise ConfigError(msg, hint="Stop it first, or choose another state folder")
            time.sleep(_PAUSE)
        try:
            os.ftruncate(handle, 0)  # a dead one may have left more
            os.write(handle, json.dumps(None if abilities is None else sorted(abilities)).encode())
            yield
        finally:
            self._release(name, handle)

    @contextmanager
    def inherit(self, name: str) -> Iterator[bool]:
        """Whether this executor is dead, and its work ours to take while the block runs."""
        handle = self._lock(name)
        if handle is None:
            yield False
            return
        try:
            yield True
        finally:
            self._release(name, handle)

    def limits(self) -> list[frozenset[str]]:
        """The abilities that each living worker is limited to, none for one that does everything."""
        living = (_abilities(path) for path in self.folder.glob("*.lock") if _is_held(path))
        return [abilities for abilities in living if abilities is not None]

    def any_alive(self) -> bool:
        """Whether somebody works on jobs at all."""
        return any(map(_is_held, self.folder.glob("*.lock")))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    def _lock(self, name: str) -> int | None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock before us has removed the file that we opened.
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        return None

    def _release(self, name: str, handle: int) -> None:
        self._path(name).unlink(missing_ok=True)
        os.close(handle)


def _abilities(path: Path) -> frozenset[str] | None:
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None  # it has just ended, or begins
    return None if known is None else frozenset(known)


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False
