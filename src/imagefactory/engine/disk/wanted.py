"""Decides which file systems a disk gets, before anything is built."""

from typing import Final

from imagefactory.core.additions import Additions, Filesystem
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters

_TYPES: Final = ("ext4", "xfs", "btrfs")  #: that may be asked for
#: A system starts from these, or makes them anew at each start: they are in its root, with all below them.
_IN_ROOT: Final = frozenset(
    {
        "bin",
        "boot",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "proc",
        "run",
        "sbin",
        "sys",
        "usr",
    }
)
_LEAST: Final = 16 << 20  # bytes that hold a journal and some files


def filesystems_beside_root(
    additions: Additions | None, parameters: Parameters
) -> tuple[Filesystem, ...]:
    """What a template wants beside the file system of `/`; the parameter is the type where it names none.

    `RequestError` for what cannot be made: mkfs.xfs takes no extended attributes and no hard links over,
    and what mkfs.btrfs makes is another each time.
    """
    usual = parameters.choice("filesystem", _TYPES, default="ext4")
    wanted = additions.filesystems if additions is not None else ()
    root = Filesystem(mount="/")
    for filesystem in wanted or (root,):
        kind = filesystem.type or usual
        if kind != "ext4":
            msg = f'The filesystem of "{filesystem.mount}" cannot be made as "{kind}"'
            raise RequestError(msg, hint='Use "ext4"')
    beside = tuple(one for one in wanted if one.mount != "/")
    for filesystem in beside:
        _check(filesystem)
    return beside


def _check(filesystem: Filesystem) -> None:
    mount = filesystem.mount
    if mount.split("/")[1] in _IN_ROOT:
        msg = f'The folder "{mount}" cannot have a filesystem of its own'
        raise RequestError(msg, hint='Systems start from it: leave it to the filesystem of "/"')
    if (filesystem.size or 0) < _LEAST:
        msg = f'The filesystem of "{mount}" is too small'
        raise RequestError(msg, hint="Give it a size of at least 16 MiB")
