"""Brings a disk into a volume of a storage pool by one stream, without its holes.

A volume can neither be renamed nor marked. So its first bytes, without which it is no disk, are sent
last: a volume that begins with zeros is one whose upload was interrupted.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from lxml import etree

from imagefactory.clouds.libvirt.connection import found, sdk
from imagefactory.core.errors import CloudError
from imagefactory.engine.formats import sparse

_HEAD: Final = 4096  # bytes
_PIECE: Final = 256 << 10  # bytes; the protocol's largest message of a stream


def size_of(disk: Path) -> int:
    """The bytes that a disk really takes."""
    with disk.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return sum(end - start for start, end in sparse.extents(file.fileno(), size))


def pool_of(connection: Any, name: str) -> Any:
    """The pool; `CloudError` when there is none, or it is off."""
    pool = found(lambda: connection.storagePoolLookupByName(name))
    if pool is None:
        known = ", ".join(f'"{pool.name()}"' for pool in connection.listAllStoragePools(0))
        msg = f'The libvirt at "{connection.getURI()}" has no storage pool "{name}"'
        raise CloudError(msg, hint=f"It has {known or 'none'}")
    if not pool.isActive():
        msg = f'The storage pool "{name}" is not active'
        raise CloudError(msg, hint=f'Start it with "virsh pool-start {name}"')
    return pool


def whole(pool: Any, name: str, connection: Any) -> bool:
    """Whether the volume is there and complete; an incomplete one goes."""
    volume = volume_of(pool, name)
    if volume is None:
        return False
    if any(_head(volume, connection)):
        return True
    remove(pool, name)
    return False


def volume_of(pool: Any, name: str) -> Any:
    """The volume, None when there is none. A name that libvirt has not seen yet is looked for on the disk."""
    volume = found(lambda: pool.storageVolLookupByName(name))
    if volume is None:
        pool.refresh(0)
        volume = found(lambda: pool.storageVolLookupByName(name))
    return volume


def upload(
    pool: Any, name: str, disk: Path, connection: Any, *, progress: Callable[[int], None]
) -> None:
    """Make the volume anew, of the disk's bytes."""
    libvirt = sdk()
    with disk.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = os.pread(file.fileno(), _HEAD, 0)
        if not any(head):
            msg = (
                f'The disk "{disk.name}" is empty at its beginning: no machine would start from it'
            )
            raise CloudError(msg)
        volume = pool.createXML(_described(name, size), 0)
        _send(
            connection,
            _pieces(file.fileno(), len(head), size, progress),
            lambda stream: volume.upload(
                stream,
                len(head),
                size - len(head),
                libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM,
            ),
        )
        _send(connection, [head], lambda stream: volume.upload(stream, 0, len(head), 0))
    pool.refresh(0)  # it says then what format the volume has
    progress(size)


def remove(pool: Any, name: str) -> None:
    """Delete the volume, if it is there."""
    volume = volume_of(pool, name)
    if volume is not None:
        found(lambda: volume.delete(0))


def _send(connection: Any, pieces: Any, begin: Callable[[Any], object]) -> None:
    stream = connection.newStream(0)
    begin(stream)
    try:
        for piece in pieces:
            if isinstance(piece, int):
                stream.sendHole(piece, 0)
                continue
            rest = memoryview(piece)
            while rest:
                rest = rest[stream.send(bytes(rest)) :]
    except BaseException:
        _aborted(stream)
        raise
    stream.finish()


def _aborted(stream: Any) -> None:
    try:
        stream.abort()
    except sdk().libvirtError:  # its connection is broken, and that is told by another
        return


def _pieces(
    handle: int, begin: int, size: int, progress: Callable[[int], None]
) -> Iterator[bytes | int]:
    """The file's bytes from `begin` on, and the lengths of the holes between them."""
    at = begin
    for start, end in sparse.extents(handle, size):
        if start > at:
            yield start - at
            at = start
        while at < end:
            piece = os.pread(handle, min(_PIECE, end - at), at)
            if not piece:
                msg = "The disk became shorter while it was sent"
                raise CloudError(msg)
            yield piece
            at += len(piece)
            progress(at)
    if at < size:
        yield size - at


def _head(volume: Any, connection: Any) -> bytes:
    """The first bytes of a volume."""
    stream = connection.newStream(0)
    volume.download(stream, 0, min(_HEAD, volume.info()[1]), 0)
    head = b""
    try:
        while piece := stream.recv(_HEAD):
            head += piece
    except BaseException:
        _aborted(stream)
        raise
    stream.finish()
    return head


def _described(name: str, size: int) -> str:
    """A file of zeros, whatever is put into it: another format would get a content of its own."""
    volume = etree.Element("volume")
    etree.SubElement(volume, "name").text = name
    etree.SubElement(volume, "capacity", unit="bytes").text = str(size)
    etree.SubElement(volume, "allocation", unit="bytes").text = "0"
    target = etree.SubElement(volume, "target")
    etree.SubElement(target, "format", type="raw")
    return etree.tostring(volume, encoding="unicode")
