"""The step that writes a VMDK as VMware's desktop programs run it."""

from dataclasses import dataclass
from typing import ClassVar

from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.plan import Build, Step


@dataclass(frozen=True, kw_only=True)
class StandardVmdk(Step):
    """Write `build.source`, a raw or qcow2 disk, as a monolithicSparse VMDK."""

    weight: ClassVar[int] = 5

    @property
    def activity(self) -> str:
        return "Converting the disk to vmdk, standard"

    def run(self, build: Build) -> None:
        if build.source is None:
            msg = "A plan converts a disk, and the build has none"
            raise ValueError(msg)
        source = inspect(build.source)
        unfinished = build.disk.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        words = ["-f", source.format, "-O", "vmdk", "-o", "subformat=monolithicSparse"]
        try:
            build.tools.run(["qemu-img", "convert", *words, source.path, unfinished], quiet=True)
            unfinished.replace(build.disk)
        finally:
            unfinished.unlink(missing_ok=True)
        build.note(format="vmdk", virtual_size=source.virtual_size)
