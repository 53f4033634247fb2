"""Puts files into the root of an initrd, which need not be unpacked for that.

Linux unpacks all archives of an initrd one after another, compressed or not, each at a multiple of four
bytes (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_REGULAR: Final = 0o100600  # the answers may hold a password
_END: Final = "TRAILER!!!"


def with_files(initrd: Path, files: Mapping[str, bytes], target: Path) -> None:
    """Write an initrd that has these files in its root beside all that it had."""
    with initrd.open("rb") as source, target.open("wb") as written:
        shutil.copyfileobj(source, written, 1 << 20)
        written.write(bytes(-written.tell() % 4))
        written.write(archive(files))


def archive(files: Mapping[str, bytes]) -> bytes:
    """A cpio archive in the format that Linux reads, `newc`: the same files give the same bytes."""
    members = [
        _member(name, content, number + 1) for number, (name, content) in enumerate(files.items())
    ]
    return b"".join([*members, _member(_END, b"", 0)])


def _member(name: str, content: bytes, inode: int) -> bytes:
    mode = _REGULAR if inode else 0
    path = name.encode() + b"\0"
    #: inode, mode, owner, group, links, time, size, device and its number twice, length of the name, sum
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + path
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
