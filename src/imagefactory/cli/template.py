"""The sub-command `template`: looks at templates without building them."""

import argparse
import sys
from pathlib import Path

from imagefactory.core.errors import TemplateError
from imagefactory.core.template import parse


def template(options: argparse.Namespace) -> int:
    """`imagefactory template check FILE…`: 0, or 2 after one line for each fault."""
    faulty = False
    for name in options.files:
        for line, message in _faults(Path(name)):
            faulty = True
            sys.stdout.write(f"{name}:{line}: {message}\n")
    return 2 if faulty else 0


def _faults(file: Path) -> list[tuple[int, str]]:
    try:
        parse(file.read_bytes())
    except TemplateError as error:
        return list(error.faults) or [(1, str(error))]
    except OSError as error:
        return [(0, f"The file cannot be read: {error.strerror}")]
    return []
