"""Reads sparse files, whose holes are neither read nor written but belong to the digest."""

import errno
import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO, Final

from isal import isal_zlib

from imagefactory.core.deflate import CLUSTER

_CHUNK: Final = 1 << 20  #: bytes
_ZEROS: Final = bytes(_CHUNK)


def sha256(source: BinaryIO) -> str:
    """The SHA-256 of a whole file, in lower-case hex digits."""
    return _read(source, None)


def copy(source: BinaryIO, target: BinaryIO) -> str:
    """Copy a whole file into an empty one, holes as holes; gives its SHA-256.

    The bytes pass through here because the digest needs them; `copy_file_range` would share blocks,
    but on one file system a file is renamed and not copied.
    """
    digest = _read(source, target)
    os.ftruncate(target.fileno(), os.fstat(source.fileno()).st_size)
    return digest


def checksum(source: BinaryIO) -> int:
    """A CRC-32 of what is in a file, and where: far quicker than a digest.

    What is all zeros does not count: whether it is a hole, a file system may decide later.
    """
    found, handle, after = 0, source.fileno(), 0
    for start, end in extents(handle, 0, os.fstat(handle).st_size):
        for place in range(max(start // CLUSTER * CLUSTER, after), end, CLUSTER):
            data = os.pread(handle, CLUSTER, place)
            after = place + CLUSTER
            if data != _ZEROS[: len(data)]:
                found = isal_zlib.crc32(data, isal_zlib.crc32(b"%d" % place, found))
    return found


def _read(source: BinaryIO, target: BinaryIO | None) -> str:
    digest = hashlib.sha256()
    size = os.fstat(source.fileno()).st_size
    position = 0
    for start, end in [*extents(source.fileno(), 0, size), (size, size)]:
        for hole in range(position, start, _CHUNK):
            digest.update(memoryview(_ZEROS)[: start - hole])
        source.seek(start)
        if target is not None:
            target.seek(start)
        while (position := source.tell()) < end:
            data = source.read(min(_CHUNK, end - position))
            if not data:
                raise OSError(errno.EIO, "The file became shorter while it was read")
            digest.update(data)
            if target is not None:
                target.write(data)
        position = end
    if target is not None:
        target.flush()
    return digest.hexdigest()


def extents(handle: int, first: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data between two places: from, to. All of it where the file system cannot tell."""
    position = first
    while position < size:
        try:
            start = os.lseek(handle, position, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.EINVAL:
                yield position, size
            elif error.errno != errno.ENXIO:
                raise
            return
        if start >= size:
            return
        yield start, min(end, size)
        position = end
