"""Where each file system of a disk is seen, by the system and by its boot loader."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from imagefactory.core.additions import Filesystem, FilesystemType
from imagefactory.engine.disk.origin import Origin

BOOT: Final = "/boot"
#: what GRUB calls its driver
_DRIVERS: Final[Mapping[FilesystemType, str]] = {"ext4": "ext2", "xfs": "xfs", "btrfs": "btrfs"}


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A file system of the disk."""

    place: str  #: where the system mounts it
    kind: FilesystemType
    filesystem: UUID
    id: UUID  #: of the partition
    number: int  #: of the partition

    @property
    def driver(self) -> str:
        """The module by which GRUB reads it."""
        return _DRIVERS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Mounts:
    """All of them."""

    root: Mount
    beside: tuple[Mount, ...] = ()  #: in the order of their partitions

    @classmethod
    def of(
        cls,
        origin: Origin,
        name: str,
        *,
        root: FilesystemType = "ext4",
        beside: Iterable[Filesystem] = (),
    ) -> Self:
        """Those of the system `name`; the root is partition 1, and the others follow in their order."""
        own = origin.ids(name)
        mounts = []
        for number, filesystem in enumerate(beside, start=2):
            ids = origin.volume_ids(name, filesystem.mount)
            mounts.append(
                Mount(
                    place=filesystem.mount,
                    kind=filesystem.type or "ext4",
                    filesystem=ids.filesystem,
                    id=ids.partition,
                    number=number,
                )
            )
        top = Mount(place="/", kind=root, filesystem=own.filesystem, id=own.root, number=1)
        return cls(root=top, beside=tuple(mounts))

    @property
    def boot(self) -> Mount:
        """The one that the boot loader reads."""
        return next((mount for mount in self.beside if mount.place == BOOT), self.root)

    def for_loader(self, path: str) -> str:
        """What a file below `/boot` is called in the file system that has it."""
        return path if self.boot is self.root else path.removeprefix(BOOT)
