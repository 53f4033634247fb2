"""The sub-commands `convert` and `formats`: the format writers on their own."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.engine.command import Tools
from imagefactory.engine.formats import chunks, sparse
from imagefactory.engine.formats.chunks import Framing
from imagefactory.engine.formats.detect import Disk, inspect
from imagefactory.engine.formats.qcow2 import Qcow2
from imagefactory.engine.formats.vmdk import Vmdk

_FORMATS: Final = {
    "qcow2": "QEMU, version 3; compressed by zlib, or not",
    "raw": "the bytes of the disk; empty parts take no space",
    "vmdk": "VMware, streamOptimized; compressed by zlib",
}


def formats(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory formats`."""
    if options.output == "json":
        shown = [{"name": name, "description": text} for name, text in _FORMATS.items()]
        write_json({"formats": shown}, config)
        return 0
    for name, text in _FORMATS.items():
        sys.stdout.write(f"{name:6} {text}\n")
    return 0


def convert(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory convert IN OUT --format F [--compression C]`: OUT is written whole or not at all."""
    if options.format == "vmdk" and options.compression == "none":
        msg = 'The format "vmdk" is always compressed'
        raise RequestError(msg, hint='Leave out "--compression"')
    if options.format == "raw" and options.compression == "zlib":
        msg = 'The format "raw" is never compressed'
        raise RequestError(msg, hint='Leave out "--compression"')
    try:
        source = inspect(options.source)
        with _replacing(options.target) as target:
            _write(source, target, options, config)
    except OSError as error:
        msg = f'The disk "{error.filename or options.source}" cannot be converted: {error.strerror}'
        raise RequestError(msg) from error
    size = options.target.stat().st_size
    if options.output == "json":
        facts = {"path": str(options.target), "format": options.format, "size": size}
        write_json({**facts, "virtual_size": source.virtual_size}, config)
    return 0


def _write(source: Disk, target: Path, options: argparse.Namespace, config: Config) -> None:
    if options.format == "qcow2" and options.compression == "none":
        _qemu_img(source, target, to="qcow2", options=("-o", "compat=1.1"))
    elif options.format == "raw" and source.format == "raw":
        sparse.copy(source.path, target, advance=lambda _position: None)
    elif options.format == "raw":
        _qemu_img(source, target, to="raw")
    else:
        with _raw(source, config) as raw:
            _frame(raw, target, to=options.format, name=options.target.name)


def _frame(raw: Disk, target: Path, *, to: str, name: str) -> None:
    with target.open("xb") as file:
        framing: Framing
        if to == "qcow2":
            framing = Qcow2(file, virtual_size=raw.virtual_size)
        else:
            framing = Vmdk(file, virtual_size=raw.virtual_size, name=name)
        chunks.write(raw.path, [framing], threads=os.cpu_count() or 1)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _raw(disk: Disk, config: Config) -> Iterator[Disk]:
    """The disk as a raw one, which our own writers read."""
    if disk.format == "raw":
        yield disk
        return
    with tempfile.TemporaryDirectory(dir=config.tmpdir, prefix="imagefactory-") as folder:
        path = Path(folder) / "disk"
        _qemu_img(disk, path, to="raw")
        yield inspect(path)


def _qemu_img(source: Disk, target: Path, *, to: str, options: tuple[str, ...] = ()) -> None:
    words = ["-t", "writeback", "-f", source.format, "-O", to, *options]
    Tools().run(["qemu-img", "convert", *words, source.path.absolute(), target.absolute()])


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
