"""Writes a disk in any format: framed from its chunks here, or by qemu-img where that does as well."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from imagefactory.core.deflate import CLUSTER
from imagefactory.core.errors import BuildError
from imagefactory.core.spans import Span
from imagefactory.engine.command import Tools, Word
from imagefactory.engine.formats import chunks, identities, sparse, vhd
from imagefactory.engine.formats.chunks import Framing
from imagefactory.engine.formats.detect import Disk, inspect
from imagefactory.engine.formats.kinds import Chosen
from imagefactory.engine.formats.qcow2 import Qcow2
from imagefactory.engine.formats.targz import TarGz
from imagefactory.engine.formats.vhd import DynamicVhd
from imagefactory.engine.formats.vmdk import Vmdk
from imagefactory.engine.formats.zstd import ZstdFrames

_PROGRESS: Final = re.compile(rb"\((\d+)\.\d+/100%\)")

Percent = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What has been written."""

    length: int  #: bytes of the disk in it
    spans: Sequence[Span] = ()  #: where its chunks lie


def write(
    source: Disk,
    target: Path,
    output: Chosen,
    *,
    tools: Tools,
    scratch: Path,
    percent: Percent = lambda _percent: None,
) -> Written:
    """Write a raw or qcow2 disk to a new file, on disk when this returns.

    The same disk gives the same bytes. `scratch` takes a raw copy of a qcow2 for as long as it is needed.
    `BuildError` for a source in another format.
    """
    require_readable(source)
    length = output.length(source.virtual_size)
    match output.format, output.compression:
        case (("vhdx" | "vdi" as name), _):
            with _raw(source, scratch, tools) as raw:
                _qemu_img(raw, target, to=name, options=(), tools=tools, percent=percent)
                _settle(raw, target, name)
        case "qcow2", "none":
            options = ("-o", "compat=1.1")
            _qemu_img(source, target, to="qcow2", options=options, tools=tools, percent=percent)
        case (("raw" | "vhd" as name), "none"):
            _write_raw(source, target, tools=tools, percent=percent)
            lengthen(target, length, footed=name == "vhd")
        case _:
            with _raw(source, scratch, tools) as raw:
                spans = _write_framed(raw, target, output, tools=tools, percent=percent)
            return Written(length=length, spans=spans)
    return Written(length=length)


def _settle(raw: Disk, target: Path, name: Literal["vhdx", "vdi"]) -> None:
    settle = identities.settle_vhdx if name == "vhdx" else identities.settle_vdi
    with raw.path.open("rb") as disk, target.open("r+b") as file:
        settle(file, head=disk.read(CLUSTER))
        _sync(file)


def require_readable(disk: Disk) -> None:
    """`BuildError` for a format that is only written."""
    if disk.format not in {"raw", "qcow2"}:
        msg = f'The disk "{disk.path.name}" is in the format "{disk.format}", which cannot be read here'
        raise BuildError(msg, hint="Give a raw or qcow2 disk")


def _write_raw(source: Disk, target: Path, *, tools: Tools, percent: Percent) -> None:
    if source.format == "raw":
        sparse.copy(source.path, target, advance=_advance(source, tools, percent))
    else:
        _qemu_img(source, target, to="raw", options=(), tools=tools, percent=percent)


def lengthen(target: Path, length: int, *, footed: bool) -> None:
    """Make a raw disk this long, with the footer of a fixed VHD behind it where it is `footed`."""
    with target.open("r+b") as file:
        file.truncate(length)
        if footed:
            head = file.read(CLUSTER)
            file.seek(length)
            file.write(vhd.footer(length, kind="fixed", head=head))
        _sync(file)


def _write_framed(
    raw: Disk, target: Path, output: Chosen, *, tools: Tools, percent: Percent
) -> Sequence[Span]:
    with target.open("xb") as file:
        framing = _framing(file, raw, output)
        chunks.write(
            raw.path,
            [framing],
            threads=os.cpu_count() or 1,
            advance=_advance(raw, tools, percent),
        )
        _sync(file)
    return framing.spans


def _framing(file: BinaryIO, raw: Disk, output: Chosen) -> Framing:
    size = output.length(raw.virtual_size)
    match output.format, output.compression:
        case "qcow2", ("zlib" | "zstd" as compression):
            return Qcow2(file, virtual_size=size, compression=compression)
        case "vmdk", "zlib":
            return Vmdk(file, virtual_size=size)
        case "tar.gz", "zlib":
            return TarGz(file, virtual_size=size, clusters=chunks.used_clusters(raw.path))
        case "vhd-dynamic", "none":
            with raw.path.open("rb") as disk:
                return DynamicVhd(file, virtual_size=size, head=disk.read(CLUSTER))
        case "raw", "zstd":
            return ZstdFrames(file, virtual_size=size)
        case wanted:
            msg = f"No framing writes {wanted}"
            raise ValueError(msg)


@contextmanager
def _raw(disk: Disk, scratch: Path, tools: Tools) -> Iterator[Disk]:
    """The disk as a raw one, which the framings read."""
    if disk.format == "raw":
        yield disk
        return
    path = scratch / "raw.part"
    path.unlink(missing_ok=True)
    try:
        _qemu_img(disk, path, to="raw", options=(), tools=tools, percent=lambda _percent: None)
        yield inspect(path)
    finally:
        path.unlink(missing_ok=True)


def _advance(disk: Disk, tools: Tools, percent: Percent) -> Callable[[int], None]:
    def advance(position: int) -> None:
        tools.cancellation.check()
        percent(100 * position // max(disk.virtual_size, 1))

    return advance


def _qemu_img(
    source: Disk,
    target: Path,
    *,
    to: str,
    options: Sequence[Word],
    tools: Tools,
    percent: Percent,
) -> None:
    def watch(output: bytes) -> None:
        for done in _PROGRESS.findall(output)[-1:]:
            percent(int(done))

    # A cache mode of its own, since the default one never waits for the disk.
    fixed = ["-p", "-t", "writeback", "-f", source.format, "-O", to]
    command: list[Word] = ["qemu-img", "convert", *fixed, *options]
    tools.run([*command, source.path.absolute(), target.absolute()], quiet=True, watch=watch)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
