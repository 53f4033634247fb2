"""What commands write to standard output: JSON, coloured where somebody looks at it."""

import json
import sys
from typing import Any

from imagefactory.core.config import Config


def write_json(value: Any, config: Config) -> None:
    """Write a value as JSON, indented by two."""
    text = json.dumps(value, indent=2)
    if config.raw or not sys.stdout.isatty():
        sys.stdout.write(text + "\n")
        return
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second, for a terminal only
    from rich.json import JSON  # noqa: PLC0415

    Console().print(JSON(text, indent=2))


def write_line(value: Any) -> None:
    """Write a value as one line of JSON, at once: for what goes on."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
