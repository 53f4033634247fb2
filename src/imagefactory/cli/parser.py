"""The words of the command line: one parser, shared by the program and by the shells' completion."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

from imagefactory import __version__
from imagefactory.builds import settings
from imagefactory.builds.work import ABILITIES
from imagefactory.core.config import Config
from imagefactory.engine.boot.boards import BOARDS
from imagefactory.engine.formats.kinds import KINDS, Compression

SHELLS: Final = ("bash", "zsh", "fish", "tcsh")

#: the options that are keys of the configuration
_KEYS: Final = (
    "state", "tmpdir", "imgdir", "timeout", "plugins", "verbose", "debug", "output", "raw",
    "ec2_32bit_util", "ec2_64bit_util", "server", "ca", "fingerprint", "client",
    "abilities",
)  # fmt: skip

Add = Callable[[str, str], argparse.ArgumentParser]


def configuration(options: argparse.Namespace) -> Config:
    """The configuration that the command line asks for; `ConfigError` when a source of it is wrong."""
    return settings.load(file=options.config, flags=flags(options), defaults={"debug": True})


def flags(options: argparse.Namespace) -> dict[str, Any]:
    """The options that are configuration, for `settings.load`."""
    return {name: value for name in _KEYS if (value := getattr(options, name, None)) is not None}


def make_parser() -> argparse.ArgumentParser:
    """The whole command line; global options are accepted before and after the sub-command."""
    parser = argparse.ArgumentParser(
        prog="imagefactory",
        description="Builds system images from templates, and brings them to clouds.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    _add_common(parser, otherwise=None)
    common = argparse.ArgumentParser(add_help=False)
    _add_common(common, otherwise=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[common], help=text, description=text)

    _add_builds(add)
    _add_images(add)
    _add_watching(add)
    _add_boot(add)
    _add_templates(add, common)
    _add_disks(add)
    _add_house(add)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, otherwise: str | None) -> None:
    options: tuple[tuple[str, dict[str, Any]], ...] = (
        ("--config", {"type": Path, "metavar": "FILE", "help": "configuration file"}),
        ("--output", {"choices": ["log", "json"], "help": "for people, or for programs"}),
        ("--raw", {"action": "store_true", "help": "no colours"}),
        ("--state", {"metavar": "DIR", "help": "folder for everything that is kept"}),
        ("--tmpdir", {"metavar": "DIR", "help": "folder for temporary files"}),
        ("--imgdir", {"metavar": "DIR", "help": "accepted, and of no use any more"}),
        ("--timeout", {"type": int, "metavar": "SECONDS", "help": "limit for one tool"}),
        ("--plugins", {"metavar": "DIR", "help": "accepted, and of no use any more"}),
        ("--ec2-32bit-util", {"metavar": "TYPE", "help": "EC2's instances for 32-bit images"}),
        ("--ec2-64bit-util", {"metavar": "TYPE", "help": "EC2's instances for 64-bit images"}),
        ("--server", {"metavar": "URL", "help": "let this daemon do it"}),
        ("--ca", {"metavar": "FILE", "help": "certificates that the server is trusted by, in PEM"}),
        ("--fingerprint", {"metavar": "SHA256", "help": "of the server's certificate"}),
        ("--client", {"metavar": "FILE", "help": "OAuth key and secret for the server, in JSON"}),
        ("--verbose", {"action": "store_true", "help": "log more"}),
        ("--debug", {"action": "store_true", "help": "log everything"}),
        ("--nodebug", {"dest": "debug", "action": "store_false", "help": "log little"}),
    )
    for name, how in options:
        parser.add_argument(name, default=otherwise, **how)


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


def _add_builds(add: Add) -> None:
    base = add("base_image", "Build a base image from a template.")
    base.add_argument("template", metavar="TEMPLATE", help='a TDL file, or "-" for standard input')
    base.add_argument("--lock", type=Path, metavar="LOCK", help="build exactly these packages")
    _add_parameters(base)
    imported = add("import_base_image", "Take a disk that was made elsewhere as a base image.")
    imported.add_argument("disk", type=Path, metavar="IMAGE_FILE", help="a disk with Linux on it")
    _add_parameters(imported)  # without effect, as ever
    target = add("target_image", "Turn a base image into the form that a kind of cloud takes.")
    target.add_argument("target", metavar="TARGET")
    _add_origin(target, "base")
    _add_parameters(target)
    provider = add("provider_image", "Push a target image to a cloud account.")
    provider.add_argument("target", metavar="TARGET")
    provider.add_argument("provider", metavar="PROVIDER", help='a file, or "@" and the text itself')
    provider.add_argument("credentials", metavar="CREDENTIALS", help="a file")
    provider.add_argument("--snapshot", action="store_true", help="build in the cloud itself")
    _add_origin(provider, "target")
    _add_parameters(provider)


def _add_images(add: Add) -> None:
    images = add("images", "Show the images whose metadata has exactly these values.")
    images.add_argument(
        "fetch_spec", metavar="FETCH_SPEC", nargs="?", default="{}", help="a JSON object"
    )
    delete = add("delete", "Delete an image, on its provider too.")
    delete.add_argument("id", metavar="ID")
    delete.add_argument("--provider", help='a file, or "@" and the text itself')
    delete.add_argument("--credentials", type=Path, metavar="FILE")
    delete.add_argument("--target", help="accepted, and known from the image")
    _add_parameters(delete)
    add("cancel", "Stop a build.").add_argument("id", metavar="ID")
    add("retry", "Build a failed image again.").add_argument("id", metavar="ID")
    add("plugins", "List the plugins.").add_argument("--id", metavar="ID", help="only this one")


def _add_watching(add: Add) -> None:
    log = add("log", "Show the log of a build.")
    log.add_argument("id", metavar="ID")
    log.add_argument("--follow", action="store_true", help="until the build has ended")
    events = add("events", "Show what has happened to the images.")
    events.add_argument("id", metavar="ID", nargs="?", help="only to this one")
    events.add_argument("--follow", action="store_true", help="until Ctrl-C")
    artifacts = add("artifacts", "List or fetch what a build has left beside the image.")
    artifacts.add_argument("id", metavar="ID")
    artifacts.add_argument("name", metavar="NAME", nargs="?", help="fetch this one")
    artifacts.add_argument("-o", "--out", type=Path, metavar="FILE", help="write it here")
    verify = add("verify", "Say whether an image is still what its build has recorded.")
    verify.add_argument("image", metavar="ID_OR_FILE")
    diff = add("diff", "Show how two images differ: size, kernel arguments, packages, files.")
    diff.add_argument("id", metavar="ID")
    diff.add_argument("other", metavar="ID")


def _add_boot(add: Add) -> None:
    boot = add("boot", "Boot a throw-away copy of an image.")
    boot.add_argument("image", metavar="ID_OR_FILE")
    boot.add_argument("--arch", choices=list(BOARDS), default="x86_64", help="the processor")
    boot.add_argument("--firmware", choices=["bios", "uefi"], help="bios where there is one")
    boot.add_argument("--screenshot", type=Path, metavar="PNG")
    boot.add_argument(
        "--run", metavar="CMD", action="append", default=[], help="as root, when it is up"
    )
    boot.add_argument("--password-file", type=Path, metavar="FILE", help="root's, for --run")


def _add_templates(add: Add, common: argparse.ArgumentParser) -> None:
    template = add("template", "Check a template, or resolve it to exact packages.")
    actions = template.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", parents=[common], help="validate TDL files")
    check.add_argument("files", nargs="+", metavar="FILE")
    lock = actions.add_parser("lock", parents=[common], help="resolve to exact packages")
    lock.add_argument("file", metavar="FILE", help='a TDL file, or "-" for standard input')
    lock.add_argument("-o", "--out", type=Path, metavar="LOCK", help="write the lock here")
    _add_parameters(lock)


def _add_disks(add: Add) -> None:
    add("formats", "List the formats that disks can be written in.")
    convert = add("convert", "Write a disk in another format.")
    convert.add_argument("source", type=Path, metavar="IN", help="a raw or qcow2 disk")
    convert.add_argument("target", type=Path, metavar="OUT")
    convert.add_argument("--format", required=True, choices=KINDS)
    convert.add_argument(
        "--compression", choices=get_args(Compression), help="default: what the format usually has"
    )


def _add_house(add: Add) -> None:
    add("doctor", "Say what this machine can build, boot and push, and what is missing.")
    garbage = add("gc", "Show what nothing needs any more: layers, package files, orphans.")
    garbage.add_argument("--yes", action="store_true", help="delete it")
    worker = add("worker", "Run the builds of this state folder until SIGTERM.")
    worker.add_argument(
        "--abilities",
        type=lambda text: text.split(","),
        metavar="ABILITY,…",
        help=f"only what needs one of these: {', '.join(ABILITIES)}",
    )
    completion = add("completion", "Write the completion of a shell to standard output.")
    completion.add_argument("shell", choices=SHELLS)
