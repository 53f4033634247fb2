"""The steps that bring a finished disk into the format that a cloud takes."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

from imagefactory.engine.command import Word
from imagefactory.engine.files import sync_folder
from imagefactory.engine.formats import chunks, sparse
from imagefactory.engine.formats.detect import Disk, DiskFormat, inspect
from imagefactory.engine.formats.qcow2 import Qcow2
from imagefactory.engine.plan import Build, Step

_PROGRESS: Final = re.compile(rb"\((\d+)\.\d+/100%\)")


@dataclass(frozen=True, kw_only=True)
class Convert(Step):
    """Write `build.source` as a qcow2 that every QEMU since 1.1 reads.

    A raw disk is compressed by our own framing, the same bytes every time; what qemu-img compresses
    it writes in the order in which its threads are ready, the same disk in another file.
    """

    weight: ClassVar[int] = 10

    format: Literal["qcow2"]
    compressed: bool = False

    @property
    def activity(self) -> str:
        return f"Converting the disk to {'compressed ' if self.compressed else ''}{self.format}"

    def run(self, build: Build) -> None:
        source = _source(build)
        options = ["-o", "compat=1.1,compression_type=zlib"]
        if self.compressed:
            options += ["-c", "-m", "16", "-W"]
        with _finished(build) as target:
            if self.compressed and source.format == "raw":
                _compress(build, source, target)
            else:
                _qemu_img_convert(build, source, target, to=self.format, options=options)
        build.note(format=self.format, virtual_size=source.virtual_size)


@dataclass(frozen=True, kw_only=True)
class CopyRaw(Step):
    """Write `build.source` as a raw disk whose empty parts take no space."""

    weight: ClassVar[int] = 3

    @property
    def activity(self) -> str:
        return "Copying the disk"

    def run(self, build: Build) -> None:
        source = _source(build)
        with _finished(build) as target:
            if source.format == "raw":
                sparse.copy(source.path, target, advance=_advance(build, source.virtual_size))
            else:
                _qemu_img_convert(build, source, target, to="raw", options=())
        build.note(format="raw", virtual_size=source.virtual_size)


def _source(build: Build) -> Disk:
    if build.source is None:
        msg = "A plan converts a disk, and the build has none"
        raise ValueError(msg)
    return inspect(build.source)


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


def _advance(build: Build, size: int) -> Callable[[int], None]:
    def advance(position: int) -> None:
        build.tools.cancellation.check()
        build.report(100 * position // max(size, 1))

    return advance


def _compress(build: Build, source: Disk, target: Path) -> None:
    with target.open("xb") as file:
        framing = Qcow2(file, virtual_size=source.virtual_size)
        chunks.write(source.path, [framing], advance=_advance(build, source.virtual_size))
        file.flush()
        os.fsync(file.fileno())


def _qemu_img_convert(
    build: Build, source: Disk, target: Path, *, to: DiskFormat, options: Sequence[str]
) -> None:
    def watch(output: bytes) -> None:
        for percent in _PROGRESS.findall(output)[-1:]:
            build.report(int(percent))

    # A cache mode of its own, since the default one never waits for the disk.
    fixed = ["-p", "-t", "writeback", "-f", source.format, "-O", to]
    command: list[Word] = ["qemu-img", "convert", *fixed, *options, source.path, target]
    build.tools.run(command, quiet=True, watch=watch)
