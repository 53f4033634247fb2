"""The command line `imagefactory`: one parser, and one function for each sub-command."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from imagefactory import __version__
from imagefactory.core.errors import FactoryError

#: sub-command -> the module and function that runs it; imported only when it is asked for
_COMMANDS: Final = {
    "base_image": "build:base_image",
    "target_image": "build:target_image",
    "provider_image": "build:provider_image",
    "images": "images:images",
    "delete": "images:delete",
    "plugins": "images:plugins",
    "log": "images:log",
    "cancel": "images:cancel",
    "boot": "boot:boot",
    "template": "template:template",
    "doctor": "doctor:doctor",
    "worker": "worker:worker",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    module, function = _COMMANDS[options.command].split(":")
    run: Callable[[argparse.Namespace], int] = getattr(
        import_module(f"imagefactory.cli.{module}"), function
    )
    try:
        return run(options)
    except FactoryError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        return 130


def complain(error: FactoryError) -> None:
    """Tell a person what is wrong, and what to do."""
    hint = f"\n  {error.hint}" if error.hint else ""
    sys.stderr.write(f"imagefactory: {error}{hint}\n")


def flags(options: argparse.Namespace) -> dict[str, Any]:
    """The options that are configuration, for `settings.load`."""
    names = ("state", "tmpdir", "timeout", "verbose", "debug")
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


def make_parser() -> argparse.ArgumentParser:
    """The whole command line; global options are accepted before and after the sub-command."""
    parser = argparse.ArgumentParser(
        prog="imagefactory",
        description="Builds system images from templates, and brings them to clouds.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    _add_common(parser, config=None, output="log")
    common = argparse.ArgumentParser(add_help=False)
    _add_common(common, config=argparse.SUPPRESS, output=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[common], help=text, description=text)

    _add_builds(add)
    _add_inspection(add)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, config: str | None, output: str) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", default=config, help="configuration file"
    )
    parser.add_argument("--output", choices=["log", "json"], default=output, help="default: log")
    nothing = argparse.SUPPRESS
    parser.add_argument(
        "--state", metavar="DIR", default=nothing, help="folder for everything kept"
    )
    parser.add_argument(
        "--tmpdir", metavar="DIR", default=nothing, help="folder for temporary files"
    )
    parser.add_argument(
        "--timeout", type=int, metavar="S", default=nothing, help="limit for one tool"
    )
    parser.add_argument("--raw", action="store_true", default=nothing, help="no colour")
    parser.add_argument("--verbose", action="store_true", default=nothing)
    parser.add_argument("--debug", dest="debug", action="store_true", default=nothing)
    parser.add_argument("--nodebug", dest="debug", action="store_false", default=nothing)


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--parameters", type=Path, metavar="JSONFILE", help="an object of parameters"
    )
    for name, value in (("--parameter", "VALUE"), ("--file-parameter", "FILE")):
        parser.add_argument(name, nargs=2, action="append", default=[], metavar=("KEY", value))


def _add_origin(parser: argparse.ArgumentParser, parent: str) -> None:
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--id", metavar="UUID", help=f"the {parent} image to start from")
    origin.add_argument("--template", metavar="FILE", help="a template to start from")


def _add_builds(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    base = add("base_image", "Build a base image from a template.")
    base.add_argument("template", metavar="TEMPLATE", help='a TDL file, or "-" for standard input')
    base.add_argument("--lock", type=Path, metavar="FILE", help="build exactly these packages")
    _add_parameters(base)
    target = add("target_image", "Turn a base image into the form that a kind of cloud takes.")
    target.add_argument("target", metavar="TARGET")
    _add_origin(target, "base")
    _add_parameters(target)
    provider = add("provider_image", "Push a target image to a cloud account.")
    for name in ("target", "provider", "credentials"):
        provider.add_argument(name, metavar=name.upper())
    provider.add_argument("--snapshot", action="store_true")
    _add_origin(provider, "target")
    _add_parameters(provider)


def _add_inspection(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    images = add("images", "Show the images whose metadata equal these values.")
    images.add_argument(
        "fetch_spec", metavar="FETCH_SPEC", nargs="?", default="{}", help="a JSON object"
    )
    delete = add("delete", "Delete an image, on its provider too.")
    delete.add_argument("id", metavar="ID")
    delete.add_argument("--provider")
    delete.add_argument("--credentials", type=Path, metavar="FILE")
    delete.add_argument("--target")
    _add_parameters(delete)
    add("plugins", "List the plugins.").add_argument("--id", metavar="ID", help="only this one")
    log = add("log", "Show the log of a build.")
    log.add_argument("id", metavar="ID")
    log.add_argument("--follow", action="store_true", help="until the build has ended")
    add("cancel", "Stop a build.").add_argument("id", metavar="ID")
    boot = add("boot", "Boot a throw-away copy of an image.")
    boot.add_argument("image", metavar="ID_OR_FILE")
    boot.add_argument("--firmware", choices=["bios", "uefi"], default="bios")
    boot.add_argument("--screenshot", type=Path, metavar="PNG")
    boot.add_argument(
        "--run", metavar="CMD", action="append", default=[], help="as root, when it is up"
    )
    boot.add_argument("--password-file", type=Path, metavar="FILE", help="root's, for --run")
    template = add("template", "Check a template, or resolve it to exact packages.")
    actions = template.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="validate TDL files")
    check.add_argument("files", nargs="+", metavar="FILE")
    add("doctor", "Say what this machine can build, boot and push, and what is missing.")
    add("worker", "Run the builds of this state folder until SIGTERM.")


if __name__ == "__main__":
    sys.exit(main())
