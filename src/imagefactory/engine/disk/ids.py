"""The ids that a disk carries, derived so that the same build gets the same ones."""

import uuid
from dataclasses import dataclass
from typing import Final
from uuid import UUID

_NAMESPACE: Final = UUID("5d0c3c53-6f1e-5c1c-9b5f-0f2a8a1f6c7e")


@dataclass(frozen=True, kw_only=True)
class VolumeIds:
    """The ids of a partition with a file system."""

    partition: UUID
    filesystem: UUID
    hash_seed: UUID  #: of its directories

    @classmethod
    def derive(cls, *, key: str, name: str, mount: str) -> "VolumeIds":
        """Those of the file system that the system `name` has at `mount`, beside its root."""
        return cls(
            partition=_derived(key, name, f"partition {mount}"),
            filesystem=_derived(key, name, f"filesystem {mount}"),
            hash_seed=_derived(key, name, f"hash seed {mount}"),
        )


def _derived(key: str, name: str, part: str) -> UUID:
    return uuid.uuid5(_NAMESPACE, f"{key}\n{name}\n{part}")


@dataclass(frozen=True, kw_only=True)
class DiskIds:
    """Everything that tells one disk from another (RFC 9562 section 5.5, name-based ids)."""

    disk: UUID  #: of the partition table
    bios: UUID  #: of the partitions
    esp: UUID
    root: UUID
    filesystem: UUID  #: of the root file system
    hash_seed: UUID  #: of its directories
    serial: int  #: of the EFI system partition's file system, 32 bits

    @classmethod
    def derive(cls, *, key: str, name: str) -> "DiskIds":
        """The ids of the system `name` that was built from what `key` stands for."""

        def of(part: str) -> UUID:
            return _derived(key, name, part)

        return cls(
            disk=of("disk"),
            bios=of("bios"),
            esp=of("esp"),
            root=of("root"),
            filesystem=of("filesystem"),
            hash_seed=of("hash seed"),
            serial=of("serial").int & 0xFFFFFFFF,
        )

    @property
    def of_root(self) -> VolumeIds:
        """Those of the root alone."""
        return VolumeIds(partition=self.root, filesystem=self.filesystem, hash_seed=self.hash_seed)

    @property
    def volume_id(self) -> str:
        """The serial as Linux and `fstab` write it, e.g. `9A3C-01F7`."""
        digits = f"{self.serial:08X}"
        return f"{digits[:4]}-{digits[4:]}"
