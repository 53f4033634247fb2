"""Reads files out of an ISO 9660 image where they lie in it, without a mount and without a tool.

ECMA-119 with Rock Ridge (IEEE P1282 on top of SUSP 1.12) where it has that, else with Joliet's names,
else with its own in lower case. Images come from anywhere: what does not add up is a `BuildError`.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Literal, Self

from imagefactory.core.errors import BuildError

SECTOR: Final = 2048
_FIRST_DESCRIPTOR: Final = 16  # sector
_DESCRIPTORS: Final = 64  # that are looked at
_PRIMARY, _SUPPLEMENTARY, _END = 1, 2, 255
_JOLIET: Final = (b"%/@", b"%/C", b"%/E")

_FOLDER: Final = 0x02  # flags of a directory record
_MORE: Final = 0x80  # the file goes on in the next record
_LEAST_RECORD: Final = 34
_LARGEST_FOLDER: Final = 64 << 20  # bytes
_LINKS: Final = 40  # that one path may lead through, as in Linux
_CONTINUED: Final = 64  # areas that one record's system use may go on in
_PIECE: Final = 1 << 20

Naming = Literal["rock ridge", "joliet", "plain"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file, folder or symbolic link of an image."""

    extents: tuple[tuple[int, int], ...]  #: where in the image its bytes lie, and how many
    folder: bool = False
    link: str | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(size for _, size in self.extents)


@dataclass(frozen=True, kw_only=True)
class Volume:
    """An image that is open, and what its folders were found to hold."""

    file: BinaryIO
    root: Entry
    naming: Naming
    skip: int = 0  #: bytes at the start of each system use area that are somebody else's
    _listed: dict[Entry, Mapping[str, Entry]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, file: BinaryIO) -> Self:
        """The volume in an open image; `BuildError` when there is none."""
        primary = joliet = None
        for number in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + _DESCRIPTORS):
            block = _at(file, number * SECTOR, SECTOR)
            if block[1:6] != b"CD001" or block[0] == _END:
                break
            if block[0] == _PRIMARY:
                primary = primary or block
            elif block[0] == _SUPPLEMENTARY and block[88:91] in _JOLIET:
                joliet = joliet or block
        if primary is None:
            msg = "It is no ISO 9660 image"
            raise BuildError(msg)
        root = _root(primary)
        skip = _rock_ridge(_at(file, root.extents[0][0], SECTOR))
        if skip is not None:
            return cls(file=file, root=root, naming="rock ridge", skip=skip)
        if joliet is not None:
            return cls(file=file, root=_root(joliet), naming="joliet")
        return cls(file=file, root=root, naming="plain")

    def find(self, path: str) -> Entry | None:
        """What lies at a path, through symbolic links; None when nothing does."""
        waiting, trail, links = list(reversed(path.split("/"))), [self.root], 0
        while waiting:
            word = waiting.pop()
            if word in {"", "."}:
                continue
            if word == "..":
                trail = trail[:-1] or trail
                continue
            here = trail[-1]
            found = self.list(here).get(word) if here.folder else None
            if found is None:
                return None
            if found.link is None:
                trail.append(found)
                continue
            if (links := links + 1) > _LINKS:
                return None
            if found.link.startswith("/"):
                trail = [self.root]
            waiting += reversed(found.link.split("/"))
        return trail[-1]

    def list(self, folder: Entry) -> Mapping[str, Entry]:
        """What a folder holds, by name."""
        if folder not in self._listed:
            self._listed[folder] = dict(self._entries(folder))
        return self._listed[folder]

    def pieces(self, entry: Entry, *, offset: int = 0) -> Iterator[bytes]:
        """A file's bytes from `offset` on."""
        for start, size in entry.extents:
            skipped = min(offset, size)
            offset -= skipped
            place, end = start + skipped, start + size
            while place < end:
                piece = _at(self.file, place, min(_PIECE, end - place))
                yield piece
                place += len(piece)

    def _entries(self, folder: Entry) -> Iterator[tuple[str, Entry]]:
        if folder.size > _LARGEST_FOLDER:
            msg = f"A folder of the image claims to have {folder.size} bytes"
            raise BuildError(msg)
        parts: tuple[tuple[int, int], ...] = ()
        for record in _records(b"".join(self.pieces(folder))):
            flags, name = record[25], record[33 : 33 + record[32]]
            if name in {b"\x00", b"\x01"}:
                continue
            parts += (_extent(record),)
            if flags & _MORE:
                continue
            entry = Entry(extents=parts, folder=bool(flags & _FOLDER))
            parts = ()
            yield self._named(name, record, entry)

    def _named(self, name: bytes, record: bytes, entry: Entry) -> tuple[str, Entry]:
        match self.naming:
            case "rock ridge":
                use = record[33 + record[32] + (1 - record[32] % 2) + self.skip :]
                return self._extended(_plain(name), use, entry)
            case "joliet":
                return name.decode("utf-16-be", "replace").partition(";")[0], entry
            case "plain":
                return _plain(name), entry

    def _extended(self, name: str, use: bytes, entry: Entry) -> tuple[str, Entry]:
        """What Rock Ridge says of an entry: its whole name, where a link leads, where a folder went."""
        words, target, child = bytearray(), _Target(), None
        for signature, data in self._fields(use):
            if signature == b"NM":
                words += data[1:]
            elif signature == b"SL":
                target.add(data[1:])
            elif signature == b"CL":
                child = _number(data, 0) * SECTOR
        if words:
            name = words.decode("utf-8", "replace")
        if child is not None:
            itself = _at(self.file, child, SECTOR)
            return name, Entry(extents=(_extent(itself),), folder=True)
        link = target.text()
        return name, entry if link is None else Entry(extents=(), link=link)

    def _fields(self, area: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The fields of a system use area, and of those that it goes on in."""
        for _ in range(_CONTINUED):
            further = None
            while len(area) >= 4 and 4 <= area[2] <= len(area):
                signature, data, area = area[:2], area[4 : area[2]], area[area[2] :]
                if signature == b"ST":
                    break
                if signature == b"CE":
                    further = data
                else:
                    yield signature, data
            if further is None:
                return
            place = _number(further, 0) * SECTOR + _number(further, 8)
            area = _at(self.file, place, min(_number(further, 16), SECTOR))


class _Target:
    """Where a symbolic link leads, out of one or more `SL` fields."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._joined = True  #: the next component belongs to the last

    def add(self, components: bytes) -> None:
        while len(components) >= 2:
            flags, size = components[0], components[1]
            word = {0x02: ".", 0x04: "..", 0x08: ""}.get(
                flags & 0x0E, components[2 : 2 + size].decode("utf-8", "replace")
            )
            self._text = (
                word if self._text is None else self._text + "/" * (not self._joined) + word
            )
            self._joined = bool(flags & 0x01)
            components = components[2 + size :]

    def text(self) -> str | None:
        return "/" if self._text == "" else self._text


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a folder; none crosses the border of two sectors, and the rest is zeros."""
    for start in range(0, len(data), SECTOR):
        sector = data[start : start + SECTOR]
        while len(sector) >= _LEAST_RECORD and sector[0]:
            size = sector[0]
            if not _LEAST_RECORD <= size <= len(sector) or 33 + sector[32] > size:
                msg = "A folder of the image has a broken record"
                raise BuildError(msg)
            yield sector[:size]
            sector = sector[size:]


def _rock_ridge(record: bytes) -> int | None:
    """How many bytes to skip, if the first record of the root says that SUSP is in use."""
    use = record[_LEAST_RECORD : record[0]]
    if len(use) >= 7 and use[:2] == b"SP" and use[4:6] == b"\xbe\xef":
        return use[6]
    return None


def _root(descriptor: bytes) -> Entry:
    return Entry(extents=(_extent(descriptor[156:190]),), folder=True)


def _extent(record: bytes) -> tuple[int, int]:
    """Numbers are there twice; the little-endian one is read."""
    start, _, size = struct.unpack_from("<LLL", record, 2)
    return (start + record[1]) * SECTOR, size


def _number(data: bytes, at: int) -> int:
    if len(data) < at + 4:
        msg = "A record of the image is cut short"
        raise BuildError(msg)
    return int(struct.unpack_from("<L", data, at)[0])


def _plain(name: bytes) -> str:
    return name.decode("ascii", "replace").partition(";")[0].removesuffix(".").lower()


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    data = file.read(size)
    if len(data) < size:
        msg = f"The image ends before byte {place + size}"
        raise BuildError(msg)
    return data
