"""Copies a file without its holes, and without its bytes where the file system can share them."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_FICLONE: Final = 0x40049409  # ioctl_ficlone(2)
_PIECE: Final = 16 << 20  # bytes between two looks at progress
#: what says that this file system, or this pair, cannot do it: try the next way
_CANNOT: Final = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.ENOTTY, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}
)


def copy(source: Path, target: Path, *, advance: Callable[[int], None]) -> None:
    """Copy to a new file, on disk when this returns; holes stay holes.

    `advance(position)` is called some times with the bytes behind it, and may raise to stop: then,
    as after any fault, there is no target. `FileExistsError` when there was one before.
    """
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        try:
            size = os.fstat(reader.fileno()).st_size
            if not _cloned(reader.fileno(), writer.fileno()):
                os.ftruncate(writer.fileno(), size)
                for start, end in extents(reader.fileno(), size):
                    for position in range(start, end, _PIECE):
                        advance(position)
                        length = min(_PIECE, end - position)
                        _copy_piece(reader.fileno(), writer.fileno(), position, length)
            os.fsync(writer.fileno())
            advance(size)
        except BaseException:
            target.unlink()
            raise


def extents(handle: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each part of an open file that is not a hole.

    What was written just now is brought to the disk first: where it lies there, and so what is a
    hole, is decided only then.
    """
    os.fsync(handle)
    end = 0
    while end < size:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(handle, start, os.SEEK_HOLE)
        yield start, end


def _cloned(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


def _copy_piece(source: int, target: int, position: int, length: int) -> None:
    while length:
        try:
            copied = os.copy_file_range(source, target, length, position, position)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            copied = os.pwrite(target, os.pread(source, length, position), position)
        if not copied:
            msg = "The file became shorter while it was copied"
            raise OSError(errno.EIO, msg)
        position += copied
        length -= copied
