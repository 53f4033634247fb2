"""The sub-command `artifacts`: what a build has left beside the image."""

import argparse
import shutil
import sys
from pathlib import Path

from imagefactory.builds.factory import open_factory
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import NotFound, RequestError


def artifacts(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory artifacts ID [NAME] [-o FILE]`: lists them, or writes one to a file or the output."""
    with open_factory(config) as factory:
        files = _files(factory.log_file(options.id).parent)
    if options.name is not None:
        return _fetch(_named(options.name, files), options.out)
    if options.output == "json":
        shown = [
            {"name": path.name, "size": path.stat().st_size, "path": str(path)} for path in files
        ]
        write_json({"artifacts": shown}, config)
        return 0
    for path in files:
        sys.stdout.write(f"{path.stat().st_size:10}  {path.name}\n")
    return 0


def _files(folder: Path) -> list[Path]:
    """What people are meant to see; a name that begins with a dot is a file in the making."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")


def _named(name: str, files: list[Path]) -> Path:
    for path in files:
        if name in {path.name, path.stem}:
            return path
    msg = f"No artifact found with name: {name}"
    hint = "There are " + ", ".join(f'"{path.name}"' for path in files) if files else None
    raise NotFound(msg, hint=hint)


def _fetch(source: Path, target: Path | None) -> int:
    if target is None:
        with source.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        return 0
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        msg = f'The file "{target}" cannot be written: {error.strerror}'
        raise RequestError(msg) from error
    return 0
