"""The sub-command `verify`: whether an image is still what its build has recorded."""

import argparse
import sys
from pathlib import Path
from typing import Final

from imagefactory.cli.service import open_service
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.store.bodies import measured

_WORDS: Final = {True: "fine", False: "WRONG", None: "-"}


def verify(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory verify ID_OR_FILE`: 0 when nothing is wrong, and something was looked at."""
    path = Path(options.image)
    with open_service(config) as service:
        verdict = (
            service.verify_file(_digest(path)) if path.is_file() else service.verify(options.image)
        )
    if options.output == "json":
        write_json(verdict.shown(), config)
    else:
        for each in verdict.findings:
            sys.stdout.write(f"{_WORDS[each.fine]:6} {each.subject}: {each.detail}\n")
    return 0 if verdict.fine else 1


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return measured(file).sha256
    except OSError as error:
        msg = f'The file "{path}" cannot be read: {error.strerror}'
        raise RequestError(msg) from error
