"""Keeps files that all builds share, each under the SHA-256 of its bytes."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from imagefactory.core.errors import CommandFailed, SpaceError
from imagefactory.engine.files import is_at, sync_folder
from imagefactory.engine.locks import wait_for_lock

_MIB: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Objects:
    """A folder of files named `ab/abcd…`; a file there is whole, and is never changed."""

    folder: Path

    def path(self, sha256: str) -> Path:
        """Where the object lies, or would."""
        return self.folder / sha256[:2] / sha256

    def holds(self, sha256: str) -> bool:
        """Whether the object is here and its bytes are still what its name says; if not, it goes.

        Who asks is about to use it, and it counts as used from now on.
        """
        path = self.path(sha256)
        if not path.exists():
            return False
        if digest(path) == sha256:
            os.utime(path)
            return True
        path.unlink(missing_ok=True)
        return False

    @contextmanager
    def receive(self, sha256: str, *, check: Callable[[], None]) -> Iterator[BinaryIO | None]:
        """A file to append the object's bytes to; None when somebody else has just brought it.

        What an earlier receiver left of it is still there, and the file's position is its end. The
        block ends by `keep`, or by raising. `check` raises when waiting for another receiver makes
        no more sense.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path, partial = self.path(sha256), self.folder / f".{sha256}.partial"
        while not path.exists():
            with partial.open("a+b") as file:
                wait_for_lock(file.fileno(), check=check)
                if not is_at(file.fileno(), partial):
                    continue
                if path.exists():
                    partial.unlink()
                    break
                file.seek(0, os.SEEK_END)
                yield file
                return
        yield None

    def keep(self, file: BinaryIO, sha256: str) -> None:
        """Make a whole and checked file an object, in a way that survives a power cut."""
        path = self.path(sha256)
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
        Path(file.name).replace(path)
        sync_folder(path.parent)


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def room_at(folder: Path) -> Iterator[None]:
    """Turn a full disk into a `SpaceError` that says which."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise SpaceError(
            f'The disk of the host that holds "{folder}" is full', hint=_FREE_SOME
        ) from error


def full_disk(error: CommandFailed) -> SpaceError | None:
    """What is wrong, when a tool failed because a disk of the host is full."""
    if "No space left on device" not in error.tail:
        return None
    return SpaceError("A disk of the host is full", hint=_FREE_SOME)


def demand_room(folder: Path, size: int) -> None:
    """`SpaceError`, which says how much is needed, when less than `size` bytes are free."""
    free = shutil.disk_usage(folder).free
    if size > free:
        msg = (
            f'The disk of the host that holds "{folder}" has {free // _MIB} MiB free, '
            f"and {-(-size // _MIB)} MiB are needed"
        )
        raise SpaceError(msg, hint=_FREE_SOME)


_FREE_SOME: Final = "Free some space, or move the state folder"
