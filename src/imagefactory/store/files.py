"""Files that take their place whole or not at all, whoever is killed when."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_PARTIAL: Final = ".partial"


@contextmanager
def replacing(path: Path, *, mode: int) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path`, on the disk for good, when the block ends well.

    It grows beside `path` under a name that does not change: the next writer reuses what a killed one
    left, and a lock makes writers of the same file wait for each other.
    """
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    with os.fdopen(_claim(partial), "wb") as file:
        try:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def create_private(path: Path, content: bytes) -> None:
    """Write a file of the owner's alone; `FileExistsError` when somebody was faster, whose file stays whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(new)
    finally:
        new.unlink()
    sync_folder(path.parent)


def create_database(path: Path) -> None:
    """Make an empty file of the owner's alone, which SQLite's WAL then takes its mode from.

    A file that exists is not even opened: to close it would drop the locks of all connections that this
    process has to it, and the next process to end would take the WAL from under them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def sweep(folder: Path) -> None:
    """Remove what killed writers have left in a folder; what is being written now stays."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(_PARTIAL)]
    for partial in (folder / name for name in names if name.startswith(".")):
        try:
            handle = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, partial):
                partial.unlink()
        except BlockingIOError:
            continue
        finally:
            os.close(handle)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process or thread at a time do what is in the block, for this folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _claim(partial: Path) -> int:
    """An empty file of this name that is locked by us alone."""
    while True:
        handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Whoever had the lock before us may have renamed or removed the file that we opened.
            if _is_at(handle, partial):
                os.ftruncate(handle, 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False
