"""What a build is made from, as far as its disk's ids and times depend on it."""

import time
from dataclasses import dataclass

from imagefactory.engine import emulation
from imagefactory.engine.disk.ids import DiskIds, VolumeIds
from imagefactory.engine.packages.locked import NAME, read_lock
from imagefactory.engine.plan import Build


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The lock's key, epoch and architecture; without a lock, the build's id, the present and the host's."""

    key: str
    epoch: int  #: seconds since 1970; nothing on the disk is younger
    arch: str = emulation.HOST  #: TDL's name

    @classmethod
    def of(cls, build: Build) -> "Origin":
        """Read from the lock that the build's first step wrote."""
        if not (build.scratch / NAME).exists():
            return cls(key=build.id, epoch=int(time.time()))
        lock = read_lock(build)
        return cls(key=lock.key(), epoch=lock.epoch, arch=lock.arch)

    def ids(self, name: str) -> DiskIds:
        """The ids of the system `name` that is built from this."""
        return DiskIds.derive(key=self.key, name=name)

    def volume_ids(self, name: str, mount: str) -> VolumeIds:
        """The ids of what that system has at `mount`, beside its root."""
        return VolumeIds.derive(key=self.key, name=name, mount=mount)
