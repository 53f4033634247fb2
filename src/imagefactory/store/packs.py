"""Chunks by their SHA-256, many in one file: written once, never changed, replaced when much in it is dead.

A pack is the chunks one after another, then an entry for each (digest, place, length), then the number of
entries, their SHA-256 and a magic number. It is renamed into place whole, so that a chunk that the index
of a pack names is there.
"""

import hashlib
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple
from uuid import uuid4

from imagefactory.core.errors import StoreError
from imagefactory.store.files import replacing, sync_folder

SUFFIX: Final = ".pack"
DIGEST: Final = 32  #: bytes

_ENTRY: Final = struct.Struct(f"<{DIGEST}sQI")
_END: Final = struct.Struct("<Q32s8s")
_MAGIC: Final = b"IFPACK\x00\x01"
_MODE: Final = 0o644


class Place(NamedTuple):
    """Where a chunk lies."""

    pack: str  #: the file's name
    offset: int
    length: int


Index = Mapping[bytes, Place]


@dataclass(frozen=True, kw_only=True)
class NewPack:
    """A pack that grows; chunks that are there already are not written again."""

    file: BinaryIO
    known: Index
    added: dict[bytes, Place] = field(default_factory=dict)

    def add(self, digest: bytes, chunk: bytes) -> None:
        if digest not in self.known and digest not in self.added:
            place = Place("", self.file.tell(), len(chunk))
            self.file.write(chunk)
            self.added[digest] = place

    def finish(self) -> None:
        entries = b"".join(
            _ENTRY.pack(digest, place.offset, place.length) for digest, place in self.added.items()
        )
        checksum = hashlib.sha256(entries).digest()
        self.file.write(entries + _END.pack(len(self.added), checksum, _MAGIC))


@dataclass(frozen=True, kw_only=True)
class Packs:
    """The packs in one folder. Who adds or collects holds a lock of the folder's (`Bodies`)."""

    folder: Path

    def index(self) -> Index:
        """Where every chunk lies; `StoreError` when a pack is damaged."""
        index: dict[bytes, Place] = {}
        for path in self._files():
            try:
                index.update(_entries(path))
            except FileNotFoundError:  # collected meanwhile; what lives has moved to another
                continue
        return index

    @contextmanager
    def adding(self) -> Iterator[NewPack]:
        """A new pack, whose chunks are there when the block ends well."""
        with self._writing(self.index()) as new:
            yield new

    def garbage(self, living: Collection[bytes]) -> int:
        """The bytes of the chunks that would go if only these lived."""
        return sum(place.length for digest, place in self.index().items() if digest not in living)

    def collect(self, living: Collection[bytes]) -> None:
        """Write packs with dead chunks anew without them. A crash at any point loses nothing."""
        index = self.index()
        kept = {digest: place for digest, place in index.items() if digest in living}
        dying = {place.pack for digest, place in index.items() if digest not in living}
        # A crash may have left packs with nothing in them that is not elsewhere.
        dying |= {path.name for path in self._files()} - {place.pack for place in index.values()}
        if not dying:
            return
        with self._writing(
            {d: place for d, place in kept.items() if place.pack not in dying}
        ) as new:
            for name in sorted({place.pack for place in kept.values()} & dying):
                with (self.folder / name).open("rb") as pack:
                    for digest, place in kept.items():
                        if place.pack == name:
                            pack.seek(place.offset)
                            new.add(digest, pack.read(place.length))
        for name in dying:
            (self.folder / name).unlink()
        sync_folder(self.folder)

    def _files(self) -> Sequence[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    @contextmanager
    def _writing(self, known: Index) -> Iterator[NewPack]:
        path = self.folder / f"{uuid4().hex}{SUFFIX}"
        with replacing(path, mode=_MODE) as file:
            new = NewPack(file=file, known=known)
            yield new
            new.finish()
        if not new.added:
            path.unlink()


def _entries(path: Path) -> Iterator[tuple[bytes, Place]]:
    with path.open("rb") as file:
        length = file.seek(0, 2)
        if length < _END.size:
            raise _damaged(path)
        file.seek(length - _END.size)
        count, checksum, magic = _END.unpack(file.read(_END.size))
        start = length - _END.size - count * _ENTRY.size
        if magic != _MAGIC or start < 0:
            raise _damaged(path)
        file.seek(start)
        entries = file.read(count * _ENTRY.size)
    if hashlib.sha256(entries).digest() != checksum:
        raise _damaged(path)
    for digest, offset, size in _ENTRY.iter_unpack(entries):
        yield digest, Place(path.name, offset, size)


def _damaged(path: Path) -> StoreError:
    msg = f'The index of the chunks in "{path}" is damaged'
    return StoreError(msg, hint="Restore the file from a backup, or delete the images in it")
