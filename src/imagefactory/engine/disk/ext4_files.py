"""Reads the files of an ext4 file system in a disk image, without mounting it and without root.

Every owner, mode, time, link, device and extended attribute is what the file system says; the host's
kernel never sees a guest's file system. Places of fields: Linux kernel, Documentation/filesystems/ext4.
"""

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from imagefactory.core.errors import BuildError

_MAGIC: Final = 0xEF53
_ROOT: Final = 2
_KNOWN: Final = (
    0x2 | 0x4 | 0x40 | 0x80 | 0x200 | 0x2000
)  # filetype, recover, extents, 64bit, flex_bg, seed
_RECOVER: Final = 0x4
_64BIT: Final = 0x80
_EXTENTS_FLAG: Final = 0x80000
_EXTENT_MAGIC: Final = 0xF30A
_XATTR_MAGIC: Final = 0xEA020000
_PREFIXES: Final = {1: "user.", 4: "trusted.", 6: "security."}
_ACCESS: Final = {2: "system.posix_acl_access", 3: "system.posix_acl_default"}
_ACL_VERSION: Final = 2  # of what programs see; on the disk it is 1, and entries are shorter
_NAMED: Final = frozenset({2, 8})  # kinds of entries of an access list with an id: user, group
_INITIALISED: Final = 32768  # longer extents are reserved room, which reads as zeros
_MOST_LINKS: Final = 40  # followed on one way; as many as Linux follows
_DEEPEST: Final = 5  # levels of an extent tree
_ZEROS: Final = bytes(1 << 16)


@dataclass(frozen=True, kw_only=True)
class Inode:
    """A file, folder, link or device."""

    number: int
    mode: int  #: type and permissions
    uid: int
    gid: int
    size: int  #: bytes
    mtime: int  #: seconds since 1970
    links: int
    flags: int
    block: bytes = field(repr=False)  #: where the content lies, or a short link's target
    xattrs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device."""
        old, new = struct.unpack_from("<II", self.block)
        if old:
            return old >> 8 & 0xFF, old & 0xFF
        return new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00


class Ext4Files:
    """The files of one file system; `BuildError` when it is none that can be read here."""

    def __init__(self, file: BinaryIO, *, offset: int, name: str) -> None:
        self._handle = file.fileno()
        self._offset = offset
        self._name = name
        superblock = self._at(1024, 1024)
        (magic,) = struct.unpack_from("<H", superblock, 0x38)
        (features,) = struct.unpack_from("<I", superblock, 0x60)
        if magic != _MAGIC or features & ~_KNOWN or features & _RECOVER:
            msg = f'The root of the disk "{name}" is no ext4 file system that can be read here'
            raise BuildError(msg, hint="Give a base image that this factory has built")
        (log_block,) = struct.unpack_from("<I", superblock, 0x18)
        (self._per_group,) = struct.unpack_from("<I", superblock, 0x28)
        (self._inode_size,) = struct.unpack_from("<H", superblock, 0x58)
        self._block = 1024 << log_block
        (size,) = struct.unpack_from("<H", superblock, 0xFE)
        self._descriptor = size if features & _64BIT else 32

    def walk(self) -> Iterator[tuple[str, Inode]]:
        """Everything below the root by its path, such as `etc/passwd`; a folder before what is in it.

        Names that are not UTF-8 have surrogates, as Python's own file functions give them.
        """
        waiting = [("", _ROOT)]
        while waiting:
            path, number = waiting.pop()
            inode = self.inode(number)
            if path:
                yield path, inode
            if stat.S_ISDIR(inode.mode):
                entries = sorted(self._entries(inode), reverse=True)
                prefix = f"{path}/" if path else ""
                waiting += [(prefix + name, child) for name, child in entries]

    def find(self, path: str) -> Inode | None:
        """What a path leads to, links on its way followed within the file system; None for nothing."""
        waiting, at, followed = path.split("/")[::-1], [_ROOT], 0
        while waiting:
            name = waiting.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                at = at[:-1] or [_ROOT]
                continue
            folder = self.inode(at[-1])
            entries = dict(self._entries(folder)) if stat.S_ISDIR(folder.mode) else {}
            if name not in entries:
                return None
            inode = self.inode(entries[name])
            if not stat.S_ISLNK(inode.mode):
                at.append(inode.number)
                continue
            target, followed = self.target(inode), followed + 1
            if followed > _MOST_LINKS:
                return None
            at = [_ROOT] if target.startswith("/") else at
            waiting += target.split("/")[::-1]
        return self.inode(at[-1])

    def inode(self, number: int) -> Inode:
        """What the inode table says."""
        group, index = divmod(number - 1, self._per_group)
        at = self._block if self._block > 1024 else 2048
        descriptor = self._at(at + group * self._descriptor, self._descriptor)
        (table,) = struct.unpack_from("<I", descriptor, 0x08)
        if self._descriptor > 32:
            table |= struct.unpack_from("<I", descriptor, 0x28)[0] << 32
        raw = self._at(table * self._block + index * self._inode_size, self._inode_size)
        mode, uid, size = struct.unpack_from("<HHI", raw)
        (mtime,) = struct.unpack_from("<i", raw, 0x10)
        gid, links = struct.unpack_from("<HH", raw, 0x18)
        (flags,) = struct.unpack_from("<I", raw, 0x20)
        uid_high, gid_high = struct.unpack_from("<HH", raw, 0x78)
        extra = struct.unpack_from("<H", raw, 0x80)[0] if self._inode_size > 128 else 0
        if extra >= 12:
            mtime += (struct.unpack_from("<I", raw, 0x88)[0] & 3) << 32
        return Inode(
            number=number,
            mode=mode,
            uid=uid | uid_high << 16,
            gid=gid | gid_high << 16,
            size=size | struct.unpack_from("<I", raw, 0x6C)[0] << 32,
            mtime=mtime,
            links=links,
            flags=flags,
            block=raw[0x28:0x64],
            xattrs=self._xattrs(raw, extra),
        )

    def target(self, inode: Inode) -> str:
        """What a symbolic link says."""
        if inode.flags & _EXTENTS_FLAG:
            return os.fsdecode(b"".join(self.content(inode)))
        return os.fsdecode(inode.block[: inode.size])

    def content(self, inode: Inode) -> Iterator[bytes]:
        """A file's bytes, piece by piece; holes are zeros."""
        position = 0
        for first, count, place in self._extents(inode.block):
            start = min(first * self._block, inode.size)
            yield from _zeros(start - position)
            end = min((first + count) * self._block, inode.size)
            for at in range(start, end, 1 << 20):
                length = min(1 << 20, end - at)
                yield self._at(place * self._block + at - start, length)
            position = max(end, start)
        yield from _zeros(inode.size - position)

    def _extents(self, node: bytes, level: int = 0) -> Iterator[tuple[int, int, int]]:
        """First block, count and place of each part that has content, in order."""
        magic, entries, _most, depth = struct.unpack_from("<HHHH", node)
        if magic != _EXTENT_MAGIC or level > _DEEPEST:
            msg = f'The file system of the disk "{self._name}" is damaged'
            raise BuildError(msg)
        for number in range(entries):
            at = 12 + 12 * number
            if depth:
                _first, low, high = struct.unpack_from("<IIH", node, at)
                child = self._at((low | high << 32) * self._block, self._block)
                yield from self._extents(child, level + 1)
                continue
            first, count, high, low = struct.unpack_from("<IHHI", node, at)
            if count <= _INITIALISED:
                yield first, count, low | high << 32

    def _entries(self, folder: Inode) -> Iterator[tuple[str, int]]:
        content = b"".join(self.content(folder))
        at = 0
        while at < len(content):
            number, length, name_length = struct.unpack_from("<IHB", content, at)
            name = content[at + 8 : at + 8 + name_length]
            if number and name not in {b".", b".."}:
                yield os.fsdecode(name), number
            at += max(length, 12)

    def _xattrs(self, raw: bytes, extra: int) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        start = 0x80 + extra
        if self._inode_size > start + 4:
            (magic,) = struct.unpack_from("<I", raw, start)
            if magic == _XATTR_MAGIC:
                found |= _attributes(raw[start + 4 :], 0)
        (low,) = struct.unpack_from("<I", raw, 0x68)
        (high,) = struct.unpack_from("<H", raw, 0x76)
        if place := low | high << 32:
            block = self._at(place * self._block, self._block)
            if struct.unpack_from("<I", block)[0] == _XATTR_MAGIC:
                found |= _attributes(block, 32)
        return found

    def _at(self, place: int, length: int) -> bytes:
        data = os.pread(self._handle, length, self._offset + place)
        if len(data) != length:
            msg = f'The file system of the disk "{self._name}" is cut off'
            raise BuildError(msg)
        return data


def _attributes(area: bytes, at: int) -> dict[str, bytes]:
    """The attributes of a list, by name; values lie where the area's beginning is 0."""
    found = {}
    while at + 16 <= len(area) and any(area[at : at + 4]):
        length, kind, offset, _inode, size = struct.unpack_from("<BBHII", area, at)
        name = area[at + 16 : at + 16 + length].decode("utf-8", "surrogateescape")
        if kind in _PREFIXES:
            found[_PREFIXES[kind] + name] = area[offset : offset + size]
        elif kind in _ACCESS:
            found[_ACCESS[kind]] = _access_list(area[offset : offset + size])
        at += 16 + -(-length // 4) * 4
    return found


def _access_list(stored: bytes) -> bytes:
    """An access list as the extended attribute has it (Linux, `include/uapi/linux/posix_acl_xattr.h`)."""
    found, at = struct.pack("<I", _ACL_VERSION), 4
    while at + 4 <= len(stored):
        tag, permissions = struct.unpack_from("<HH", stored, at)
        at += 4
        owner = 0xFFFFFFFF
        if tag in _NAMED:
            (owner,) = struct.unpack_from("<I", stored, at)
            at += 4
        found += struct.pack("<HHI", tag, permissions, owner)
    return found


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield _ZEROS[: min(count, len(_ZEROS))]
        count -= len(_ZEROS)
