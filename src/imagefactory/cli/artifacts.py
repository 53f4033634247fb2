"""The sub-command `artifacts`: what a build has left beside the image."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from imagefactory.builds.artifacts import Artifact
from imagefactory.cli.service import Service, open_service
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import NotFound, RequestError


def artifacts(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory artifacts ID [NAME] [-o FILE]`: lists them, or writes one to a file or the output."""
    with open_service(config) as service:
        found = service.artifacts(options.id)
        if options.name is not None:
            _fetch(service, options.id, _named(options.name, found), options.out)
            return 0
    if options.output == "json":
        shown = [{"name": one.name, "size": one.size, "path": one.location} for one in found]
        write_json({"artifacts": shown}, config)
        return 0
    for one in found:
        sys.stdout.write(f"{one.size:10}  {one.name}\n")
    return 0


def _named(name: str, artifacts: Sequence[Artifact]) -> str:
    for artifact in artifacts:
        if name in {artifact.name, Path(artifact.name).stem}:
            return artifact.name
    names = ", ".join(f'"{artifact.name}"' for artifact in artifacts)
    msg = f"No artifact found with name: {name}"
    raise NotFound(msg, hint=f"There are {names}" if names else None)


def _fetch(service: Service, image_id: str, name: str, target: Path | None) -> None:
    with service.artifact(image_id, name) as chunks:
        if target is None:
            sys.stdout.buffer.writelines(chunks)
            return
        try:
            with target.open("wb") as file:
                file.writelines(chunks)
        except OSError as error:
            msg = f'The file "{target}" cannot be written: {error.strerror}'
            raise RequestError(msg) from error
