"""The sub-command `verify`: whether an image is still what its build has recorded."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from imagefactory.builds.factory import open_factory
from imagefactory.builds.verification import Verification
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.store.bodies import measured
from imagefactory.store.rows import Body

_WORDS: Final = {True: "fine", False: "WRONG", None: "-"}


def verify(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory verify ID_OR_FILE`: 0 when nothing is wrong, and a body was looked at."""
    path = Path(options.image)
    with open_factory(config) as factory:
        verification = Verification(workshop=factory.workshop)
        findings = (
            verification.file(_measured(path))
            if path.is_file()
            else verification.image(options.image)
        )
    fine = findings[0].fine is True and all(each.fine is not False for each in findings)
    if options.output == "json":
        write_json({"fine": fine, "findings": [asdict(each) for each in findings]}, config)
    else:
        for each in findings:
            sys.stdout.write(f"{_WORDS[each.fine]:6} {each.subject}: {each.detail}\n")
    return 0 if fine else 1


def _measured(path: Path) -> Body:
    try:
        with path.open("rb") as file:
            return measured(file)
    except OSError as error:
        msg = f'The file "{path}" cannot be read: {error.strerror}'
        raise RequestError(msg) from error
