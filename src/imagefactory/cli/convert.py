"""The sub-commands `convert` and `formats`: the format writers on their own."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.engine.command import Tools
from imagefactory.engine.formats import writing
from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.formats.kinds import KINDS, Output


def formats(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory formats`."""
    if options.output == "json":
        shown = [
            {"name": name, "description": kind.description, "compressions": kind.compressions}
            for name, kind in KINDS.items()
        ]
        write_json({"formats": shown}, config)
        return 0
    for name, kind in KINDS.items():
        sys.stdout.write(f"{name:11}  {', '.join(kind.compressions):16}  {kind.description}\n")
    return 0


def convert(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory convert IN OUT --format F [--compression C]`: OUT is written whole or not at all."""
    output = Output(format=options.format, compression=options.compression).chosen()
    try:
        source = inspect(options.source)
        with _replacing(options.target) as target, _scratch(config) as scratch:
            written = writing.write(source, target, output, tools=Tools(), scratch=scratch)
    except OSError as error:
        msg = f'The disk "{error.filename or options.source}" cannot be converted: {error.strerror}'
        raise RequestError(msg) from error
    if options.output == "json":
        facts = {
            "path": str(options.target),
            "format": output.format,
            "virtual_size": written.length,
        }
        write_json({**facts, "size": options.target.stat().st_size}, config)
    return 0


@contextmanager
def _scratch(config: Config) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=config.tmpdir, prefix="imagefactory-") as folder:
        yield Path(folder)


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
