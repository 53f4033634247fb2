"""A disk's files as one tar, the layer of a container: in order, with owners, links and attributes.

The same files are the same bytes (POSIX.1-2001 pax, as the OCI image specification's layers).
"""

import hashlib
import io
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, BinaryIO, Final

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk import gpt
from imagefactory.engine.disk.ext4_files import Ext4Files, Inode
from imagefactory.engine.disk.layout import SECTOR
from imagefactory.engine.formats.detect import inspect

_XATTR: Final = "SCHILY.xattr."
_NOT_KEPT: Final = "system."  # lists of access: unpackers take them by other names, or fail
_ROOTS: Final = frozenset({gpt.LINUX_ROOT_X86_64, gpt.LINUX_ROOT_ARM64})
_LOST: Final = "lost+found"  # mkfs makes it; no package has it
_EXT4_MAGIC: Final = b"\x53\xef"
_EXT4_MAGIC_AT: Final = 1024 + 0x38
_KINDS: Final = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that was written."""

    digest: str  #: SHA-256 of the tar, hex digits
    size: int  #: bytes of the tar
    content: int  #: bytes of all files
    newest: int  #: seconds since 1970


def write(
    disk: Path,
    target: Path,
    *,
    excludes: Sequence[str],
    advance: Advance = lambda _files: None,
) -> Layer:
    """Write the files of a raw disk's root as a tar; `BuildError` where it has no root to be read.

    `excludes` are patterns as tar has them: one without a slash at its beginning fits below any folder, and
    what it fits goes with all that is in it. `advance` is called with the number of files that lie behind.
    """
    with _root_of(disk) as files, target.open("xb") as file:
        hashed = _Hashed(file)
        content, newest = 0, 0
        names: dict[int, str] = {}
        with tarfile.open(fileobj=hashed.as_file(), mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for count, (path, inode) in enumerate(_kept(files, excludes)):
                header = _header(path, inode)
                if header is None:
                    continue
                _add(tar, header, inode, files, names)
                content += header.size
                newest = max(newest, inode.mtime)
                advance(count)
    return Layer(digest=hashed.digest.hexdigest(), size=hashed.size, content=content, newest=newest)


@contextmanager
def _root_of(disk: Path) -> Iterator[Ext4Files]:
    """The file system of a raw disk's root: the partition that says so, else the largest, or the whole disk."""
    if inspect(disk).format != "raw":
        msg = f'The disk "{disk.name}" is not raw, and its files cannot be read'
        raise BuildError(msg)
    with disk.open("rb") as file:
        yield Ext4Files(file, offset=_place_of_root(file), name=disk.name)


def _place_of_root(file: BinaryIO) -> int:
    table = gpt.read(file.read(gpt.HEAD))
    likely = sorted(table, key=lambda entry: (entry.type in _ROOTS, entry.last - entry.first))
    for place in [0, *(entry.first * SECTOR for entry in reversed(likely))]:
        file.seek(place + _EXT4_MAGIC_AT)
        if file.read(2) == _EXT4_MAGIC:
            return place
    return 0


def _kept(files: Ext4Files, excludes: Sequence[str]) -> Iterator[tuple[str, Inode]]:
    left_out = ""
    for path, inode in files.walk():
        if left_out and path.startswith(left_out):
            continue
        left_out = ""
        if path == _LOST or any(_fits(path, pattern) for pattern in excludes):
            left_out = f"{path}/"
            continue
        yield path, inode


def _fits(path: str, pattern: str) -> bool:
    """Whether tar would leave a member out: the pattern fits it from its beginning or after a slash."""
    parts = f"./{path}".split("/")
    wanted = pattern.rstrip("/")
    return any(fnmatchcase("/".join(parts[start:]), wanted) for start in range(len(parts)))


def _header(path: str, inode: Inode) -> tarfile.TarInfo | None:
    kind = _KINDS.get(stat.S_IFMT(inode.mode))
    if kind is None:  # a socket
        return None
    header = tarfile.TarInfo(path)
    header.type = kind
    header.mode = stat.S_IMODE(inode.mode)
    header.uid, header.gid, header.mtime = inode.uid, inode.gid, inode.mtime
    header.pax_headers = {
        _XATTR + name: value.decode("utf-8", "surrogateescape")
        for name, value in sorted(inode.xattrs.items())
        if not name.startswith(_NOT_KEPT)
    }
    return header


def _add(
    tar: tarfile.TarFile,
    header: tarfile.TarInfo,
    inode: Inode,
    files: Ext4Files,
    names: dict[int, str],
) -> None:
    if not header.isdir() and inode.links > 1:
        first = names.setdefault(inode.number, header.name)
        if first != header.name:
            header.type, header.linkname = tarfile.LNKTYPE, first
            header.pax_headers = {}
            tar.addfile(header)
            return
    if header.issym():
        header.linkname = files.target(inode)
    elif header.isdev() and not header.isfifo():
        header.devmajor, header.devminor = inode.device
    if not header.isreg():
        tar.addfile(header)
        return
    header.size = inode.size
    with _Content(files.content(inode)) as content:
        tar.addfile(header, content)


class _Content(io.RawIOBase):
    """Pieces of bytes as a file that is read from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, wanted = [], size
        while wanted > 0 and (self._left or self._more()):
            part, self._left = self._left[:wanted], self._left[wanted:]
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _more(self) -> bool:
        self._left = next(self._pieces, b"")
        return bool(self._left)


class _Hashed:
    """A file whose bytes are counted and hashed on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def as_file(self) -> "IO[bytes]":
        """Ourselves, for those who only write."""
        return self  # type: ignore[return-value]

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)
