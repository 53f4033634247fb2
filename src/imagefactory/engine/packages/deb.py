"""Reads what a Debian package file says about itself, without unpacking it (deb(5), ar(5))."""

import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from imagefactory.core.errors import BuildError

_MAGIC: Final = b"!<arch>\n"
_HEADER: Final = 60  # bytes: name 16, time 12, owner 6, group 6, mode 8, size 10, end 2
_LARGEST: Final = 64 << 20  # bytes of unpacked control files; those of Debian's kernels have 1 MiB


@dataclass(frozen=True, kw_only=True)
class ControlFile:
    """A file of a package's control archive."""

    data: bytes
    mode: int  #: permissions
    time: int  #: seconds since 1970


def age(deb: Path) -> int:
    """When a package was built, in seconds since 1970: its first member's time."""
    with deb.open("rb") as file:
        time = _header(file, deb)[16:28].strip()
    if not time.isdigit():
        raise _not_a_package(deb)
    return int(time)


def control_files(deb: Path) -> Mapping[str, ControlFile]:
    """The files of a package's control archive, by name; `BuildError` when it is no package."""
    try:
        with tarfile.open(fileobj=io.BytesIO(_control_archive(deb))) as archive:
            return {
                member.name.removeprefix("./"): ControlFile(
                    data=opened.read(), mode=member.mode & 0o7777, time=int(member.mtime)
                )
                for member in archive
                if (opened := archive.extractfile(member)) is not None
            }
    except (tarfile.TarError, lzma.LZMAError, zlib.error, zstandard.ZstdError, ValueError) as error:
        raise _not_a_package(deb) from error


def _control_archive(deb: Path) -> bytes:
    with deb.open("rb") as file:
        header = _header(file, deb)
        while len(header) == _HEADER:
            name, size = header[:16].rstrip(b" /").decode(), int(header[48:58])
            if name.startswith("control.tar"):
                return _UNPACKERS[name.removeprefix("control.tar")](file.read(size))
            file.seek(size + size % 2, io.SEEK_CUR)
            header = file.read(_HEADER)
    raise _not_a_package(deb)


def _header(file: BinaryIO, deb: Path) -> bytes:
    """The first member's header; the position is then behind it."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _not_a_package(deb)
    return file.read(_HEADER)


def _not_a_package(deb: Path) -> BuildError:
    return BuildError(f'The file "{deb}" is not a Debian package')


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data).read(_LARGEST)


_UNPACKERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    ".gz": lambda data: zlib.decompressobj(wbits=31).decompress(data, _LARGEST),
    ".xz": lambda data: lzma.LZMADecompressor().decompress(data, _LARGEST),
    ".zst": _zstd,
}
