"""Decides which file systems a disk gets, before anything is built."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from imagefactory.core.additions import Additions, Filesystem, FilesystemType
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.engine.disk import btrfs
from imagefactory.engine.disk.layout import MIB

_TYPES: Final = ("ext4", "btrfs")  #: that are made
_KNOWN: Final = (*_TYPES, "xfs")  #: that may be asked for
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
#: bytes that hold a journal and some files
_LEAST: Final[Mapping[FilesystemType, int]] = {"ext4": 16 * MIB, "btrfs": btrfs.LEAST}


@dataclass(frozen=True, kw_only=True)
class Filesystems:
    """What a disk is to have."""

    root: FilesystemType = "ext4"
    beside: tuple[Filesystem, ...] = ()  #: each with its type

    @property
    def kinds(self) -> frozenset[FilesystemType]:
        """Every type that is on it."""
        return frozenset({self.root, *(one.type for one in self.beside if one.type)})

    def tools(self, packages: Mapping[FilesystemType, str]) -> tuple[str, ...]:
        """The packages of programs for these file systems, of those that `packages` has for each type."""
        return tuple(name for kind, name in sorted(packages.items()) if kind in self.kinds)


def filesystems(additions: Additions | None, parameters: Parameters) -> Filesystems:
    """What a template wants; the parameter is the type where it names none.

    `RequestError` for what cannot be made.
    """
    usual = cast("FilesystemType", parameters.choice("filesystem", _KNOWN, default="ext4"))
    wanted = additions.filesystems if additions is not None else ()
    typed = [replace(one, type=one.type or usual) for one in wanted]
    root = next((one for one in typed if one.mount == "/"), Filesystem(mount="/", type=usual))
    beside = tuple(one for one in typed if one.mount != "/")
    for filesystem in (root, *beside):
        if filesystem.type not in _TYPES:
            msg = f'The filesystem of "{filesystem.mount}" cannot be made as "{filesystem.type}"'
            raise RequestError(msg, hint=f"Use {' or '.join(_TYPES)}")
    for filesystem in beside:
        _check(filesystem)
    return Filesystems(root=root.type or usual, beside=beside)


def _check(filesystem: Filesystem) -> None:
    mount = filesystem.mount
    if mount.split("/")[1] in _IN_ROOT:
        msg = f'The folder "{mount}" cannot have a filesystem of its own'
        raise RequestError(msg, hint='Systems start from it: leave it to the filesystem of "/"')
    least = _LEAST[filesystem.type or "ext4"]
    if (filesystem.size or 0) < least:
        msg = f'The filesystem of "{mount}" is too small'
        hint = f"Give it a size of at least {least // MIB} MiB"
        raise RequestError(msg, hint=hint)
