"""The files of an ext4 file system as items of a btrfs tree: names, owners, links, attributes, content."""

import stat
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import google_crc32c

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk.btrfs_trees import (
    GENERATION,
    LARGEST,
    SECTOR,
    Item,
    checksum,
    packed_key,
)
from imagefactory.engine.disk.ext4_files import Ext4Files, Inode

FIRST: Final = 256  #: the number of a tree's own folder

_EXT4_ROOT: Final = 2
_LOST: Final = "lost+found"  # mkfs.ext4 makes it; btrfs has none
_INODE_ITEM: Final = 1
_INODE_REF: Final = 12
_XATTR_ITEM: Final = 24
_DIR_ITEM: Final = 84
_DIR_INDEX: Final = 96
_EXTENT_DATA: Final = 108
_XATTR: Final = 8  # kinds of entries
_KINDS: Final = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6, stat.S_IFLNK: 7,
}  # fmt: skip

_INODE: Final = struct.Struct("<QQQQQIIIIQQQ32xqIqIqIqI")
_REF: Final = struct.Struct("<QH")
_ENTRY: Final = struct.Struct("<17sQHHB")
_CONTENT: Final = struct.Struct("<QQBBHB")
_EXTENT: Final = struct.Struct("<QQQQ")
_INLINE, _REGULAR = 0, 1
_MOST_INLINE: Final = 2048  # bytes of a file that lies in the tree, as by default
_LONGEST: Final = 128 << 20  # bytes of one extent
_FIRST_INDEX: Final = 2

#: Where the next so many bytes may lie; fewer, if they lie at a limit.
Allocate = Callable[[int], tuple[int, int]]
Write = Callable[[int, bytes], None]


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A piece of a file, in whole sectors."""

    owner: int  #: the file's number
    position: int  #: in the file
    address: int  #: 0 is a hole
    size: int


@dataclass
class Copied:
    """What became of the files."""

    items: list[Item] = field(default_factory=list)
    extents: list[Extent] = field(default_factory=list)
    checksums: dict[int, bytes] = field(default_factory=dict)  #: address -> those of its sectors


def inode_item(
    *, mode: int, size: int = 0, stored: int = 0, names: int = 1, owner: tuple[int, int] = (0, 0),
    device: tuple[int, int] = (0, 0), time: int = 0, flags: int = 0,
) -> bytes:  # fmt: skip
    """What says all of a file but its name and content."""
    major, minor = device
    times = [time, 0] * 4
    return _INODE.pack(
        *(GENERATION, GENERATION, size, stored, 0, names, *owner, mode, major << 20 | minor),
        *(flags, 0, *times),
    )


def own_reference(number: int) -> Item:
    """A tree's own folder is in itself."""
    return (number, _INODE_REF, number), _REF.pack(0, 2) + b".."


def reference(number: int, folder: int, name: bytes, *, index: int) -> Item:
    """Where a file is, and by which name."""
    return (number, _INODE_REF, folder), _REF.pack(index, len(name)) + name


def named(number: int, kind: tuple[int, int], name: bytes) -> bytes:
    """An entry of a folder; `kind` is the type of the key that it leads to, and of the entry."""
    type_, entry = kind
    offset = 0 if type_ == _INODE_ITEM else (1 << 64) - 1
    return _ENTRY.pack(packed_key((number, type_, offset)), GENERATION, 0, len(name), entry) + name


def by_name(folder: int, name: bytes) -> tuple[int, int, int]:
    """The key of a folder's entry."""
    return folder, _DIR_ITEM, name_hash(name)


def name_hash(name: bytes) -> int:
    """The CRC-32C of a name, from the seed that btrfs takes and without its last inversion."""
    value: int = google_crc32c.extend(1, name)
    return value ^ 0xFFFFFFFF


class Copier:
    """Copies all files of one file system; its content goes where `allocate` says."""

    def __init__(self, files: Ext4Files, allocate: Allocate, write: Write) -> None:
        self._files = files
        self._allocate = allocate
        self._write = write
        self._copied = Copied()
        self._joined: dict[tuple[int, int, int], list[bytes]] = defaultdict(list)
        self._folders = {"": FIRST}
        self._sizes: dict[int, int] = defaultdict(int)  # of folders: their names', twice
        self._next_index: dict[int, int] = defaultdict(lambda: _FIRST_INDEX)
        self._names: dict[int, int] = defaultdict(int)

    def copy(self) -> Copied:
        """All of it, in the order of the names."""
        numbers: dict[int, int] = {}
        inodes = [(FIRST, self._files.inode(_EXT4_ROOT))]
        for path, inode in self._files.walk():
            if path == _LOST:
                continue
            number = numbers.get(inode.number)
            if number is None:
                number = numbers[inode.number] = FIRST + len(inodes)
                inodes.append((number, inode))
            self._name(path, number, inode)
        for number, inode in inodes:
            self._describe(number, inode)
        self._copied.items.append(own_reference(FIRST))
        self._copied.items += ((key, b"".join(parts)) for key, parts in self._joined.items())
        for key, data in self._copied.items:
            if len(data) > LARGEST:
                msg = f"The file number {key[0]} has more names or attributes than btrfs can hold"
                raise BuildError(msg, hint='Use the type "ext4" for this filesystem')
        self._copied.items.sort()
        return self._copied

    def _name(self, path: str, number: int, inode: Inode) -> None:
        above, _, text = path.rpartition("/")
        folder, name = self._folders[above], text.encode("utf-8", "surrogateescape")
        index = self._next_index[folder]
        self._next_index[folder] += 1
        entry = named(number, (_INODE_ITEM, _KINDS[stat.S_IFMT(inode.mode)]), name)
        self._joined[by_name(folder, name)].append(entry)
        self._copied.items.append(((folder, _DIR_INDEX, index), entry))
        key, data = reference(number, folder, name, index=index)
        self._joined[key].append(data)
        self._sizes[folder] += 2 * len(name)
        self._names[number] += 1
        if stat.S_ISDIR(inode.mode):
            self._folders[path] = number

    def _describe(self, number: int, inode: Inode) -> None:
        kind, size, stored, device = stat.S_IFMT(inode.mode), inode.size, 0, (0, 0)
        if kind == stat.S_IFDIR:
            size = self._sizes[number]
        elif kind == stat.S_IFREG:
            stored = self._content(number, inode)
        elif kind == stat.S_IFLNK:
            target = self._files.target(inode).encode("utf-8", "surrogateescape")
            stored = self._inline(number, target)
        elif kind in {stat.S_IFCHR, stat.S_IFBLK}:
            device = inode.device
        item = inode_item(
            mode=inode.mode,
            size=size,
            stored=stored,
            names=1 if kind == stat.S_IFDIR else self._names[number],
            owner=(inode.uid, inode.gid),
            device=device,
            time=inode.mtime,
        )
        self._copied.items.append(((number, _INODE_ITEM, 0), item))
        for name, value in sorted(inode.xattrs.items()):
            raw = name.encode()
            head = _ENTRY.pack(bytes(17), GENERATION, len(value), len(raw), _XATTR)
            key = (number, _XATTR_ITEM, name_hash(raw))
            self._joined[key].append(head + raw + value)

    def _inline(self, number: int, data: bytes) -> int:
        head = _CONTENT.pack(GENERATION, len(data), 0, 0, 0, _INLINE)
        self._copied.items.append(((number, _EXTENT_DATA, 0), head + data))
        return len(data)

    def _content(self, number: int, inode: Inode) -> int:
        """Write a file's bytes; how many are stored."""
        if inode.size <= _MOST_INLINE:
            data = b"".join(self._files.content(inode))
            return self._inline(number, data) if data else 0
        stored = 0
        for extent in _joined(self._pieces(number, inode)):
            sectors = (extent.address, extent.size, 0, extent.size)
            head = _CONTENT.pack(GENERATION, extent.size, 0, 0, 0, _REGULAR)
            if not extent.address:
                sectors = (0, 0, 0, extent.size)
            else:
                stored += extent.size
                self._copied.extents.append(extent)
            item = ((number, _EXTENT_DATA, extent.position), head + _EXTENT.pack(*sectors))
            self._copied.items.append(item)
        return stored

    def _pieces(self, number: int, inode: Inode) -> Iterator[Extent]:
        position = 0
        for piece in self._files.content(inode):
            whole = piece + bytes(-len(piece) % SECTOR)
            if not any(piece):
                yield Extent(owner=number, position=position, address=0, size=len(whole))
                position += len(whole)
                continue
            at = 0
            while at < len(whole):
                address, size = self._allocate(len(whole) - at)
                self._store(address, whole[at : at + size])
                yield Extent(owner=number, position=position, address=address, size=size)
                at += size
                position += size

    def _store(self, address: int, data: bytes) -> None:
        self._write(address, data)
        self._copied.checksums[address] = b"".join(
            checksum(data[at : at + SECTOR]) for at in range(0, len(data), SECTOR)
        )


def _joined(pieces: Iterator[Extent]) -> Iterator[Extent]:
    """What lies side by side as one."""
    last = None
    for piece in pieces:
        if last is None:
            last = piece
            continue
        follows = piece.address == (last.address + last.size if last.address else 0)
        if follows and last.size + piece.size <= _LONGEST:
            last = Extent(
                owner=last.owner,
                position=last.position,
                address=last.address,
                size=last.size + piece.size,
            )
            continue
        yield last
        last = piece
    if last is not None:
        yield last
