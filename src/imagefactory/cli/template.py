"""The sub-command `template`: looks at templates without building them."""

import argparse
import sys
from pathlib import Path

from imagefactory.cli.service import Drafts, Faults, open_drafts
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config


def template(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory template check FILE…` and `imagefactory template lock FILE`."""
    if options.action == "check":
        return _check(options, config)
    from imagefactory.cli.lock import lock  # noqa: PLC0415 - loads the engine, which checking does not need

    return lock(options, config)


def _check(options: argparse.Namespace, config: Config) -> int:
    """0, or 2 after one line for each fault."""
    with open_drafts(config) as drafts:
        faults = [(name, *fault) for name in options.files for fault in _faults(drafts, Path(name))]
    if options.output == "json":
        shown = [{"file": name, "line": line, "message": text} for name, line, text in faults]
        write_json({"faults": shown}, config)
    else:
        sys.stdout.writelines(f"{name}:{line}: {text}\n" for name, line, text in faults)
    return 2 if faults else 0


def _faults(drafts: Drafts, file: Path) -> Faults:
    try:
        content = file.read_bytes()
    except OSError as error:
        return [(0, f"The file cannot be read: {error.strerror}")]
    return drafts.check(content)
