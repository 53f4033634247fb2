"""Tar archives whose bytes depend on their members alone (POSIX.1-1988, ustar; GNU tar beyond 8 GiB)."""

import io
import os
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, cast

from imagefactory.engine.formats.gzip import Gzip

_USTAR_LARGEST: Final = 8 << 30  # bytes that eleven octal digits count
_PIECE: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive: its bytes, or the file that holds them."""

    name: str
    content: bytes | Path = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


def write(
    target: Path,
    members: Sequence[Member],
    *,
    gzip: bool,
    advance: Callable[[int], None] = lambda _position: None,
) -> None:
    """Write the members in their order: files of root's, readable by all, from the year 1970.

    `advance(position)` is called with the plain bytes that lie behind, and may raise to stop.
    """
    with target.open("xb") as file:
        if gzip:
            packed = Gzip(file)
            _write(cast("IO[bytes]", packed), members, advance)
            packed.finish()
        else:
            _write(file, members, advance)
        file.flush()
        os.fsync(file.fileno())


def total(members: Sequence[Member]) -> int:
    """Bytes of all members together."""
    return sum(member.size for member in members)


def _write(file: IO[bytes], members: Sequence[Member], advance: Callable[[int], None]) -> None:
    behind = 0
    largest = max((member.size for member in members), default=0)
    form = tarfile.USTAR_FORMAT if largest < _USTAR_LARGEST else tarfile.GNU_FORMAT
    with tarfile.open(fileobj=file, mode="w|", format=form) as tar:
        for member in members:
            header = tarfile.TarInfo(member.name)
            header.size = member.size
            if isinstance(member.content, bytes):
                tar.addfile(header, io.BytesIO(member.content))
            else:
                with member.content.open("rb") as content:
                    tar.addfile(header, _Watched(content, behind, advance))
            behind += member.size
            advance(behind)


class _Watched(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, file: IO[bytes], behind: int, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._file = file
        self._position = behind
        self._told = behind
        self._advance = advance

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._position += len(data)
        if self._position - self._told >= _PIECE:
            self._told = self._position
            self._advance(self._position)
        return data
