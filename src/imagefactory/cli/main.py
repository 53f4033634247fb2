"""The command line `imagefactory`: finds the function of a sub-command, and shows its errors."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from imagefactory.builds import program_log
from imagefactory.cli.parser import configuration, make_parser
from imagefactory.core.config import Config
from imagefactory.core.errors import FactoryError, RequestError

log = logging.getLogger(__name__)

#: sub-command -> the module and function that runs it; imported only when it is asked for
_COMMANDS: Final = {
    "artifacts": "artifacts:artifacts",
    "base_image": "build:base_image",
    "boot": "boot:boot",
    "cancel": "control:cancel",
    "completion": "completion:completion",
    "convert": "convert:convert",
    "delete": "control:delete",
    "diff": "diff:diff",
    "doctor": "doctor:doctor",
    "events": "log:events",
    "formats": "convert:formats",
    "gc": "garbage:gc",
    "images": "images:images",
    "import_base_image": "imported:import_base_image",
    "log": "log:log",
    "plugins": "images:plugins",
    "provider_image": "build:provider_image",
    "retry": "control:retry",
    "target_image": "build:target_image",
    "template": "template:template",
    "verify": "verify:verify",
    "worker": "worker:worker",
}
#: what looks at this machine, its state folder or its files, whatever server there is
_LOCAL: Final = frozenset(
    {
        "boot",
        "completion",
        "convert",
        "doctor",
        "formats",
        "gc",
        "import_base_image",
        "worker",
    }
)
_INTERRUPTED: Final = 130  #: what a shell gives for a program that Ctrl-C has ended


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        config = configuration(options)
        options.output = config.output
        program_log.start(verbose=config.verbose, debug=config.debug and config.verbose)
        _check_place(options)
        for note in config.ignored:
            log.info("%s", note)
        return _command(options.command)(options, config)
    except FactoryError as error:
        complain(error, output=options.output)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Who read our output wants no more; nor shall Python's own last flush complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _check_place(options: argparse.Namespace) -> None:
    if options.server is not None and options.command in _LOCAL:
        msg = f'The command "{options.command}" works on this machine only'
        raise RequestError(msg, hint='Leave out "--server"')


def complain(error: FactoryError, *, output: str | None = None) -> None:
    """Tell a person what is wrong, and what to do; in JSON mode tell the program that asked, too."""
    if output == "json":
        answer = {"error": error.brief, "hint": error.hint, "code": error.code}
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    hint = f"\n  {error.hint}" if error.hint else ""
    sys.stderr.write(f"imagefactory: {error}{hint}\n")


def _command(name: str) -> Callable[[argparse.Namespace, Config], int]:
    module, function = _COMMANDS[name].split(":")
    command: Callable[[argparse.Namespace, Config], int] = getattr(
        import_module(f"imagefactory.cli.{module}"), function
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
