"""Reads a container image that was made here back from its archive, to be pushed."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from imagefactory.core.errors import CloudError
from imagefactory.engine.formats.gzip import Gzip

_PIECE: Final = 8 << 20  # bytes that are sent at a time
_READ: Final = 1 << 20
_OLD: Final = "Give it the parameter dockerversion 1.10.1, or leave that out"


@dataclass(frozen=True, kw_only=True)
class Archived:
    """An image's configuration, and its layer's place in the archive."""

    tar: tarfile.TarFile
    config: bytes
    layer: str

    def compressed(self) -> Iterator[bytes]:
        """The layer's gzip stream in pieces of one size, the same every time.

        It is made anew whenever it is needed: that takes seconds, and a copy would take room.
        """
        member = self.tar.extractfile(self.layer)
        assert member is not None  # noqa: S101 - looked at when it was opened
        waiting = bytearray()
        stream = Gzip(cast("IO[bytes]", _Into(waiting)))
        while data := member.read(_READ):
            stream.write(data)
            while len(waiting) >= _PIECE:
                yield bytes(waiting[:_PIECE])
                del waiting[:_PIECE]
        stream.finish()
        if waiting:
            yield bytes(waiting)

    def measure(self) -> tuple[str, int]:
        """Digest and size of the compressed layer."""
        hashed, size = hashlib.sha256(), 0
        for piece in self.compressed():
            hashed.update(piece)
            size += len(piece)
        return f"sha256:{hashed.hexdigest()}", size


@contextmanager
def opened(path: Path) -> Iterator[Archived]:
    """An archive as `WrapFiles` writes it, compressed or not; `CloudError` for one that has no manifest."""
    try:
        with tarfile.open(path) as tar:
            [entry] = json.loads(_content(tar, "manifest.json"))
            [layer] = entry["Layers"]
            tar.getmember(layer)
            archived = Archived(tar=tar, config=_content(tar, entry["Config"]), layer=layer)
            yield archived
    except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
        msg = f'The image "{path.name}" is not a container image that can be pushed'
        raise CloudError(msg, hint=_OLD) from error


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    member: Any = tar.extractfile(name)
    return bytes(member.read())


class _Into:
    def __init__(self, target: bytearray) -> None:
        self._target = target

    def write(self, data: bytes) -> int:
        self._target += data
        return len(data)
