"""What users name on the command line: files, texts in files, and parameters."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret


def text_of(file: Path) -> str:
    """The text of a file; `RequestError` when it cannot be read."""
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f'The file "{file}" cannot be read: {reason}'
        raise RequestError(msg) from error


def template_of(name: str) -> str:
    """The text of a template: a file's, or standard input's for `-`."""
    if name != "-":
        return text_of(Path(name))
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        msg = 'The file "-" cannot be read: it is not UTF-8'
        raise RequestError(msg) from error


def provider_of(given: str) -> str:
    """A provider: after `@` the text itself, else a file's content."""
    return given[1:] if given.startswith("@") else text_of(Path(given)).rstrip()


def credentials_of(file: Path) -> Secret:
    """The content of a credentials file."""
    return Secret(text_of(file).rstrip())


def parameters_of(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters: JSON file < `--parameter` < `--file-parameter`."""
    parameters = _object(options.parameters) if options.parameters else {}
    parameters |= dict(options.parameter)
    return parameters | {key: text_of(Path(file)) for key, file in options.file_parameter}


def _object(file: Path) -> dict[str, Any]:
    try:
        content: object = json.loads(text_of(file))
    except (ValueError, RecursionError) as error:
        msg = f'The file "{file}" is not JSON: {error}'
        raise RequestError(msg) from error
    if isinstance(content, dict):
        return content
    msg = f'The file "{file}" does not hold an object'
    raise RequestError(msg)
