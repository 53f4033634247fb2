"""The trees of a btrfs file system: items in order, packed into blocks that name one another.

Layouts: Linux kernel, `include/uapi/linux/btrfs_tree.h`.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import google_crc32c

SECTOR: Final = 4096
NODE: Final = 16384  # bytes of a tree's block
GENERATION: Final = 1  # of everything: one transaction has written it

_HEADER: Final = struct.Struct("<32x16sQQ16sQQIB")
_CHECKED: Final = 32  # where what the checksum covers begins
_WRITTEN: Final = 1
_MIXED_BACKREF: Final = 1 << 56
_KEY: Final = struct.Struct("<QBQ")
_ITEM: Final = struct.Struct("<QBQII")
_POINTER: Final = struct.Struct("<QBQQQ")
_ROOM: Final = NODE - _HEADER.size
_POINTERS: Final = _ROOM // _POINTER.size

#: of an item's data
LARGEST: Final = _ROOM - _ITEM.size

#: object, type, offset
Key = tuple[int, int, int]
Item = tuple[Key, bytes]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What each block says of its file system."""

    filesystem: UUID
    chunks: UUID  #: of the tree of chunks


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block with its place."""

    address: int
    level: int
    content: bytes


def packed_key(key: Key) -> bytes:
    """As other structures hold one."""
    return _KEY.pack(*key)


def shape(sizes: Iterable[int]) -> list[int]:
    """How many blocks a tree has on each level, from the lowest, for items with so many bytes each."""
    leaves, room = 1, _ROOM
    for size in sizes:
        needed = _ITEM.size + size
        if needed > room:
            leaves, room = leaves + 1, _ROOM
        room -= needed
    return levels_above(leaves)


def levels_above(leaves: int) -> list[int]:
    """How many blocks a tree with so many leaves has on each level, from the lowest."""
    levels = [leaves]
    while levels[-1] > 1:
        levels.append(-(-levels[-1] // _POINTERS))
    return levels


def blocks(
    items: Sequence[Item], *, tree: int, addresses: Iterator[int], identity: Identity
) -> list[Block]:
    """The blocks of a tree, its root last. `items` are in order."""
    made: list[Block] = []
    firsts: list[tuple[Key, int]] = []
    for leaf in _leaves(items):
        address = next(addresses)
        firsts.append((leaf[0][0] if leaf else (0, 0, 0), address))
        block = _block(_leaf(leaf), address, len(leaf), level=0, tree=tree, identity=identity)
        made.append(block)
    level = 0
    while len(firsts) > 1:
        level += 1
        children, firsts = firsts, []
        for at in range(0, len(children), _POINTERS):
            group, address = children[at : at + _POINTERS], next(addresses)
            content = b"".join(_POINTER.pack(*key, child, GENERATION) for key, child in group)
            firsts.append((group[0][0], address))
            made.append(
                _block(content, address, len(group), level=level, tree=tree, identity=identity)
            )
    return made


def _leaves(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    start, room = 0, _ROOM
    for number, (_, data) in enumerate(items):
        needed = _ITEM.size + len(data)
        if needed > room:
            yield items[start:number]
            start, room = number, _ROOM
        room -= needed
    yield items[start:]


def _leaf(items: Sequence[Item]) -> bytes:
    """The items' heads from the beginning, their data from the end."""
    heads, end = [], _ROOM
    for key, data in items:
        end -= len(data)
        heads.append(_ITEM.pack(*key, end, len(data)))
    head = b"".join(heads)
    return head + bytes(end - len(head)) + b"".join(data for _, data in reversed(items))


def _block(
    content: bytes, address: int, count: int, *, level: int, tree: int, identity: Identity
) -> Block:
    flags = _WRITTEN | _MIXED_BACKREF
    ids = identity.filesystem.bytes, address, flags, identity.chunks.bytes
    header = _HEADER.pack(*ids, GENERATION, tree, count, level)
    whole = (header + content).ljust(NODE, b"\0")
    return Block(address=address, level=level, content=sealed(whole))


def sealed(block: bytes) -> bytes:
    """A block with its checksum at its beginning, which covers all behind that."""
    return checksum(block[_CHECKED:]) + block[4:]


def checksum(data: bytes) -> bytes:
    """A CRC-32C (RFC 3720, appendix B.4) as it is stored."""
    value: int = google_crc32c.value(data)
    return value.to_bytes(4, "little")
