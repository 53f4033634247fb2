"""Makes a btrfs file system of an ext4 one's files, without a mount, and the same bytes each time.

`mkfs.btrfs --rootdir` numbers files as the host's file system does and makes up ids. Metadata are there
twice and data once, as by default. Layouts: Linux kernel, `include/uapi/linux/btrfs_tree.h`.
"""

import itertools
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final

from imagefactory.core.errors import SpaceError
from imagefactory.engine.disk.btrfs_files import (
    FIRST,
    Copied,
    Copier,
    by_name,
    inode_item,
    named,
    own_reference,
    reference,
)
from imagefactory.engine.disk.btrfs_trees import (
    GENERATION,
    NODE,
    SECTOR,
    Block,
    Identity,
    Item,
    blocks,
    levels_above,
    packed_key,
    sealed,
    shape,
)
from imagefactory.engine.disk.ext4_files import Ext4Files
from imagefactory.engine.disk.ids import VolumeIds
from imagefactory.engine.disk.layout import MIB

#: below this the metadata's two copies leave little for files (mkfs.btrfs(8) takes no less either)
LEAST: Final = 128 * MIB

_FOLDER: Final = 0o040755
_ROOT, _EXTENTS, _CHUNKS, _DEVICES, _FILES, _ROOT_FOLDER, _CHECKSUMS = range(1, 8)
_RELOCATION: Final = (1 << 64) - 9
_CHECKSUM_OBJECT: Final = (1 << 64) - 10
_CHUNK_OBJECT: Final = 256

_INODE_ITEM: Final = 1
_ROOT_ITEM: Final = 132
_EXTENT_CSUM: Final = 128
_EXTENT_ITEM: Final = 168
_METADATA_ITEM: Final = 169
_TREE_BLOCK_REF: Final = 176
_EXTENT_DATA_REF: Final = 178
_BLOCK_GROUP_ITEM: Final = 192
_DEV_EXTENT: Final = 204
_DEV_ITEM: Final = 216
_CHUNK_ITEM: Final = 228

_DATA, _SYSTEM, _METADATA, _TWICE = 1, 2, 4, 32
_STRIPE: Final = 64 << 10
_MIRRORS: Final = (64 * MIB, 256 << 30)  # copies of the superblock, each with a stripe for itself
_SUPERBLOCK_AT: Final = 64 << 10
_SUPERBLOCK_SIZE: Final = 4096
_MAGIC: Final = b"_BHRfS_M"
#: mixed back references, large metadata, many names, lean items for blocks
_FEATURES: Final = 0x1 | 0x20 | 0x40 | 0x100
_SUBVOLUME: Final = 1 << 31  # its root's inode says all that it must
_MOST_CHECKSUMS: Final = 2048  # in one item

_SYSTEM_SIZE: Final = 8 * MIB
_DATA_AT: Final = MIB + 2 * _SYSTEM_SIZE
_CHUNK_SIZE: Final = 1 << 30
_LEAST_CHUNK: Final = 8 * MIB
_SPARE: Final = 16 * MIB  # of metadata, beside as much again as there are

_CHUNK: Final = struct.Struct("<QQQQIIIHH")
_PLACE: Final = struct.Struct("<QQ16s")
_DEVICE: Final = struct.Struct("<QQQIIIQQQIBB16s16s")
_DEVICE_EXTENT: Final = struct.Struct("<QQQQ16s")
_GROUP: Final = struct.Struct("<QQQ")
_ROOT_FIELDS: Final = struct.Struct("<QQQQQQQI17xBBQ16s32x32xqIqI24x64x")
_SUPER: Final = struct.Struct("<16sQQ8sQQQQQQQQQIIIIIQQQQHBBB98s256sQQ16s224x")


_OF_DATA: Final = struct.Struct("<QQQBQQQI")
_OF_BLOCK: Final = struct.Struct("<QQQBQ")
_IS_DATA, _IS_BLOCK = 1, 2


class _TooSmallError(Exception):
    """There is no room left."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A part of the addresses, and where it is on the disk."""

    start: int
    size: int
    kind: int
    places: tuple[int, ...]

    def taken(self) -> Iterator[range]:
        """The addresses at which copies of the superblock lie."""
        for place, mirror in itertools.product(self.places, _MIRRORS):
            if place <= mirror < place + self.size:
                first = self.start + mirror - place
                yield range(first, first + _STRIPE)

    def addresses(self) -> Iterator[int]:
        """Those of its blocks, one after another."""
        taken = list(self.taken())
        for address in range(self.start, self.start + self.size - NODE + 1, NODE):
            if not any(address < hole.stop and hole.start < address + NODE for hole in taken):
                yield address
        raise _TooSmallError


_SYSTEM_CHUNK: Final = Chunk(
    start=MIB, size=_SYSTEM_SIZE, kind=_SYSTEM | _TWICE, places=(MIB, MIB + _SYSTEM_SIZE)
)


@dataclass
class _Data:
    """Gives out places for files' content, one after another."""

    limit: int
    end: int = _DATA_AT
    used: int = 0

    def allocate(self, wanted: int) -> tuple[int, int]:
        """Where up to so many bytes may lie. A chunk's last sector stays free: no extent goes beyond."""
        while True:
            into = (self.end - _DATA_AT) % _CHUNK_SIZE
            barrier = self.end - into + _CHUNK_SIZE - SECTOR
            mirrors = [mirror for mirror in _MIRRORS if mirror + _STRIPE > self.end]
            barrier = min([barrier, *mirrors])
            if self.end < barrier:
                break
            self.end += _STRIPE if barrier in _MIRRORS else SECTOR
        size = min(wanted, barrier - self.end)
        if self.end + size > self.limit:
            raise _TooSmallError
        start = self.end
        self.end += size
        self.used += size
        return start, size

    def chunks(self) -> list[Chunk]:
        """What the content has taken, as chunks: the last one no larger than it must be."""
        end = max(-(-self.end // MIB) * MIB, _DATA_AT + _LEAST_CHUNK)
        return [
            Chunk(start=at, size=min(_CHUNK_SIZE, end - at), kind=_DATA, places=(at,))
            for at in range(_DATA_AT, end, _CHUNK_SIZE)
        ]


@dataclass(frozen=True, kw_only=True)
class _Volume:
    """The file system that is made."""

    file: IO[bytes]
    offset: int
    size: int
    ids: VolumeIds
    label: str

    @property
    def identity(self) -> Identity:
        return Identity(filesystem=self.ids.filesystem, chunks=self.ids.hash_seed)

    def write(self, place: int, data: bytes) -> None:
        self.file.seek(self.offset + place)
        self.file.write(data)


def write(
    files: Ext4Files, file: IO[bytes], *, offset: int, size: int, ids: VolumeIds, label: str,
    mount: str,
) -> None:  # fmt: skip
    """Make the file system at `offset` of `file`, which has zeros there. `SpaceError` when it is too small."""
    volume = _Volume(file=file, offset=offset, size=size, ids=ids, label=label)
    data = _Data(limit=size)
    try:
        copied = Copier(files, data.allocate, volume.write).copy()
        _write_metadata(volume, copied, data)
    except _TooSmallError as error:
        msg = f'The filesystem of "{mount}" is {size // MIB} MiB, and its files do not fit as btrfs'
        raise SpaceError(
            msg, hint="Raise its size, or that of the disk, in the template"
        ) from error


def _write_metadata(volume: _Volume, copied: Copied, data: _Data) -> None:
    """Make the trees; that of extents last, for it lists the blocks of all, its own too."""
    contents = data.chunks()
    folder = [((FIRST, _INODE_ITEM, 0), inode_item(mode=_FOLDER)), own_reference(FIRST)]
    trees: dict[int, list[Item]] = {
        _FILES: copied.items,
        _CHECKSUMS: list(_checksums(copied)),
        _RELOCATION: folder,
    }
    count = sum(sum(_shape(items)) for items in trees.values()) + len(contents)
    metadata = _metadata_chunk(
        volume, after=contents[-1], needed=NODE * count + 128 * len(copied.extents)
    )
    chunks, addresses = [_SYSTEM_CHUNK, *contents, metadata], metadata.addresses()
    trees[_DEVICES] = list(_device_extents(volume, chunks))
    made = {
        tree: blocks(items, tree=tree, addresses=addresses, identity=volume.identity)
        for tree, items in trees.items()
    }
    listed = list(_chunk_items(volume, chunks))
    made[_CHUNKS] = blocks(
        listed, tree=_CHUNKS, addresses=_SYSTEM_CHUNK.addresses(), identity=volume.identity
    )
    # How many items the tree of roots has is known before the places in them are.
    made[_EXTENTS] = []
    roots = list(itertools.islice(addresses, sum(_shape(_roots(volume, made)))))
    own: list[int] = []
    while True:
        extents = _extents(copied, made, chunks, roots=roots, own=own)
        if (missing := sum(_shape(extents)) - len(own)) <= 0:
            break
        own += itertools.islice(addresses, missing)
    made[_EXTENTS] = blocks(extents, tree=_EXTENTS, addresses=iter(own), identity=volume.identity)
    made[_ROOT] = blocks(
        _roots(volume, made), tree=_ROOT, addresses=iter(roots), identity=volume.identity
    )
    for block in itertools.chain.from_iterable(made.values()):
        chunk = _SYSTEM_CHUNK if block.address < _DATA_AT else metadata
        for place in chunk.places:
            volume.write(place + block.address - chunk.start, block.content)
    used = data.used + NODE * sum(map(len, made.values()))
    _write_superblocks(volume, made, chunks, used=used)


def _shape(items: Sequence[Item]) -> list[int]:
    return shape(len(data) for _, data in items)


def _metadata_chunk(volume: _Volume, *, after: Chunk, needed: int) -> Chunk:
    start = after.start + after.size
    room = (volume.size - start) // 2 // MIB * MIB
    size = min(-(-2 * needed // MIB) * MIB + _SPARE, room)
    if size < needed + MIB:
        raise _TooSmallError
    places = (start, start + size)
    return Chunk(start=start, size=size, kind=_METADATA | _TWICE, places=places)


def _checksums(copied: Copied) -> Iterator[Item]:
    """Those of sectors side by side are one item, as far as it holds them."""
    start, joined = 0, b""
    for address, sums in sorted(copied.checksums.items()):
        if address == start + len(joined) // 4 * SECTOR and len(joined + sums) <= _MOST_CHECKSUMS:
            joined += sums
            continue
        if joined:
            yield (_CHECKSUM_OBJECT, _EXTENT_CSUM, start), joined
        start, joined = address, sums
    if joined:
        yield (_CHECKSUM_OBJECT, _EXTENT_CSUM, start), joined


def _chunk(volume: _Volume, chunk: Chunk) -> bytes:
    count = len(chunk.places)
    head = _CHUNK.pack(
        chunk.size, _EXTENTS, _STRIPE, chunk.kind, _STRIPE, _STRIPE, SECTOR, count, 1
    )
    device = volume.ids.partition.bytes
    return head + b"".join(_PLACE.pack(1, place, device) for place in chunk.places)


def _device(volume: _Volume, chunks: Sequence[Chunk]) -> bytes:
    used = sum(chunk.size * len(chunk.places) for chunk in chunks)
    ids = volume.ids.partition.bytes, volume.ids.filesystem.bytes
    sizes = volume.size, used, SECTOR, SECTOR, SECTOR
    return _DEVICE.pack(1, *sizes, 0, GENERATION, 0, 0, 0, 0, *ids)


def _chunk_items(volume: _Volume, chunks: Sequence[Chunk]) -> Iterator[Item]:
    yield (1, _DEV_ITEM, 1), _device(volume, chunks)
    for chunk in chunks:
        yield (_CHUNK_OBJECT, _CHUNK_ITEM, chunk.start), _chunk(volume, chunk)


def _device_extents(volume: _Volume, chunks: Sequence[Chunk]) -> Iterator[Item]:
    for chunk in chunks:
        for place in chunk.places:
            fields = _CHUNKS, _CHUNK_OBJECT, chunk.start, chunk.size, volume.ids.hash_seed.bytes
            yield (1, _DEV_EXTENT, place), _DEVICE_EXTENT.pack(*fields)


def _extents(
    copied: Copied,
    made: Mapping[int, Sequence[Block]],
    chunks: Sequence[Chunk],
    *,
    roots: Sequence[int],
    own: Sequence[int],
) -> list[Item]:
    """What of each chunk is in use, and by whom; `roots` and `own` are blocks that are not made yet."""
    items: list[Item] = []
    for extent in copied.extents:
        owner = _FILES, extent.owner, extent.position, 1
        item = _OF_DATA.pack(1, GENERATION, _IS_DATA, _EXTENT_DATA_REF, *owner)
        items.append(((extent.address, _EXTENT_ITEM, extent.size), item))
    known = [(one.address, one.level, tree) for tree, all_ in made.items() for one in all_]
    known += [(address, level, _ROOT) for address, level in _levelled(roots)]
    known += [(address, level, _EXTENTS) for address, level in _levelled(own)]
    for address, level, tree in known:
        item = _OF_BLOCK.pack(1, GENERATION, _IS_BLOCK, _TREE_BLOCK_REF, tree)
        items.append(((address, _METADATA_ITEM, level), item))
    for chunk in chunks:
        inside = range(chunk.start, chunk.start + chunk.size)
        used = sum(one.size for one in copied.extents if one.address in inside)
        used += NODE * sum(address in inside for address, _, _ in known)
        group = _GROUP.pack(used, _CHUNK_OBJECT, chunk.kind)
        items.append(((chunk.start, _BLOCK_GROUP_ITEM, chunk.size), group))
    return sorted(items)


def _levelled(addresses: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Blocks of a tree that has so many, with their levels."""
    left, level = list(addresses), 0
    while left:
        count = next(n for n in range(1, len(left) + 1) if sum(levels_above(n)) == len(left))
        yield from ((address, level) for address in left[:count])
        left, level = left[count:], level + 1


def _roots(volume: _Volume, made: Mapping[int, Sequence[Block]]) -> list[Item]:
    items: list[Item] = [
        ((tree, _ROOT_ITEM, 0), _root_item(volume, tree, made[tree]))
        for tree in (_EXTENTS, _DEVICES, _FILES, _CHECKSUMS, _RELOCATION)
    ]
    folder = inode_item(mode=_FOLDER, time=0)
    default, kind = b"default", (_ROOT_ITEM, 2)
    items.append(((_ROOT_FOLDER, _INODE_ITEM, 0), folder))
    items.append(own_reference(_ROOT_FOLDER))
    items.append((by_name(_ROOT_FOLDER, default), named(_FILES, kind, default)))
    items.append(reference(_FILES, _ROOT_FOLDER, default, index=0))
    return sorted(items)


def _root_item(volume: _Volume, tree: int, made: Sequence[Block]) -> bytes:
    top = made[-1] if made else Block(address=0, level=0, content=b"")
    inode = inode_item(mode=_FOLDER, size=3, stored=NODE, flags=_SUBVOLUME)
    of_files = tree == _FILES
    own = uuid.uuid5(volume.ids.filesystem, "subvolume").bytes if of_files else bytes(16)
    folder = FIRST if tree in {_FILES, _RELOCATION} else 0
    fields = GENERATION, folder, top.address, 0, NODE * len(made), 0, 0, 1
    return inode + _ROOT_FIELDS.pack(*fields, 0, top.level, GENERATION, own, 0, 0, 0, 0)


def _write_superblocks(
    volume: _Volume, made: Mapping[int, Sequence[Block]], chunks: Sequence[Chunk], *, used: int
) -> None:
    root, tree = made[_ROOT][-1], made[_CHUNKS][-1]
    array = packed_key((_CHUNK_OBJECT, _CHUNK_ITEM, _SYSTEM_CHUNK.start))
    array += _chunk(volume, _SYSTEM_CHUNK)
    for place in (_SUPERBLOCK_AT, *_MIRRORS):
        if place + _SUPERBLOCK_SIZE > volume.size:
            break
        fields = _SUPER.pack(
            *(volume.ids.filesystem.bytes, place, 1, _MAGIC, GENERATION, root.address),
            *(tree.address, 0, 0, volume.size, used, _ROOT_FOLDER, 1),
            *(SECTOR, NODE, NODE, SECTOR, len(array), GENERATION, 0, 0, _FEATURES, 0),
            *(root.level, tree.level, 0, _device(volume, chunks), volume.label.encode(), 0, 0),
            bytes(16),
        )
        whole = bytes(32) + fields + array
        volume.write(place, sealed(whole.ljust(_SUPERBLOCK_SIZE, b"\0")))
