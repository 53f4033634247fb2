"""A disk that a machine writes to itself, as an installer does."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Target:
    """A raw file, handed to QEMU as a descriptor; what is discarded or zero becomes a hole."""

    file: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What QEMU must inherit."""
        return (self.file,)

    def blockdevs(self) -> list[dict[str, object]]:
        """The nodes for `-blockdev`; the last is called `disk` (QEMU, qapi/block-core)."""
        # Nothing survives a failed installation, so nothing need be on the host's disk before its end.
        fast = {"direct": False, "no-flush": True}
        name = f"/proc/self/fd/{self.file}"
        file = {"driver": "file", "node-name": "disk-file", "filename": name, "cache": fast}
        disk = {"driver": "raw", "node-name": "disk", "file": "disk-file", "cache": fast}
        return [{**node, "discard": "unmap"} for node in (file, {**disk, "detect-zeroes": "unmap"})]
