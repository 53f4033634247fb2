"""The step that brings a finished disk into the format that a cloud takes."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imagefactory.core import spans
from imagefactory.engine.files import sync_folder, write_atomically
from imagefactory.engine.formats import writing
from imagefactory.engine.formats.detect import Disk, inspect
from imagefactory.engine.formats.kinds import Chosen, Compression, FormatName, Output
from imagefactory.engine.plan import Build, Step


@dataclass(frozen=True, kw_only=True)
class Convert(Step):
    """Write `build.source`, a raw or qcow2 disk, in another format as `build.disk`.

    `compression` None is the format's usual one (`kinds.KINDS`). `align` makes the disk as long as a
    multiple of so many bytes, where a cloud asks for that; it has no effect on vhdx and vdi.
    """

    weight: ClassVar[int] = 5

    format: FormatName
    compression: Compression | None = None
    align: int | None = None

    @property
    def activity(self) -> str:
        how = {None: "", "none": ""}.get(self.compression, f", compressed by {self.compression}")
        return f"Converting the disk to {self.format}{how}"

    def run(self, build: Build) -> None:
        output = Output(format=self.format, compression=self.compression, align=self.align).chosen()
        source = _source(build)
        with _finished(build) as target:
            if not _taken(build, source, target, output):
                self._write(build, source, target, output)
        disk = inspect(build.disk)
        build.note(format=disk.format, virtual_size=disk.virtual_size)

    def _write(self, build: Build, source: Disk, target: Path, output: Chosen) -> None:
        written = writing.write(
            source,
            target,
            output,
            tools=build.tools,
            scratch=build.scratch,
            percent=build.report,
        )
        if written.spans:  # for the store, which may keep the body as chunks
            write_atomically(build.disk.with_suffix(spans.SUFFIX), spans.dumps(written.spans))


def _source(build: Build) -> Disk:
    if build.source is None:
        msg = "A plan converts a disk, and the build has none"
        raise ValueError(msg)
    return inspect(build.source)


def _taken(build: Build, source: Disk, target: Path, output: Chosen) -> bool:
    """Give the source a second name, which takes no copy, where that is the disk; whether it is.

    Nobody writes to a body, or to a disk that is finished. What a life of this build has done is done again.
    """
    build.tools.cancellation.check()
    plain = output.compression == "none" and source.format in {"raw", output.format}
    length = output.length(source.virtual_size)
    match output.format:
        case "raw" if plain and length == source.virtual_size:
            pass
        case "vhd" if plain and _is_own(build, source.path):
            if source.format == "raw":
                writing.lengthen(source.path, length, footed=True)
        case _:
            return False
    try:
        target.hardlink_to(source.path.resolve())  # link(2) would take a symbolic link itself
    except OSError:  # another file system, or one without hard links
        return False
    return True


def _is_own(build: Build, source: Path) -> bool:
    """Whether nobody but this build has the disk: an earlier step of it has set it aside."""
    status = source.lstat()
    names = 2 if build.disk.exists() and build.disk.samefile(source) else 1
    return (
        source.parent == build.scratch and stat.S_ISREG(status.st_mode) and status.st_nlink == names
    )


@contextmanager
def _finished(build: Build) -> Iterator[Path]:
    """A name to write to, which becomes `build.disk` when all is written."""
    unfinished = build.disk.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    try:
        yield unfinished
        unfinished.replace(build.disk)
        sync_folder(build.scratch)
    finally:
        unfinished.unlink(missing_ok=True)
