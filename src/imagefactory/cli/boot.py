"""The sub-command `boot`: bring up a throw-away copy of a disk, and say how far it came."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from imagefactory.builds.factory import open_factory
from imagefactory.cli.files import credentials_of
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import BootError, NotFound, RequestError
from imagefactory.core.secret import Secret
from imagefactory.core.template import parse
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boards import BOARDS
from imagefactory.engine.boot.boot import boot as boot_disk
from imagefactory.engine.boot.firmware import TITLES
from imagefactory.engine.boot.report import BootReport
from imagefactory.engine.boot.request import Boot, Login
from imagefactory.engine.command import Tools

_TAIL: Final = 20  # lines of the console that a failure shows


def boot(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory boot ID_OR_FILE`: 0 when the system came up, else 1 and what its console said last."""
    config.tmpdir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=config.tmpdir, prefix="imagefactory-") as folder:
        return _boot(options, config, Path(folder))


def _boot(options: argparse.Namespace, config: Config, folder: Path) -> int:
    disk, rootpw = _disk(options.image, config, folder)
    if options.password_file is not None:
        rootpw = credentials_of(options.password_file)
    if options.run and rootpw is None:
        msg = "Commands cannot be run without the password of root"
        raise RequestError(msg, hint='Give it with "--password-file"')
    wanted = Boot(
        disk=disk,
        firmware=options.firmware or ("bios" if BOARDS[options.arch].bios else "uefi"),
        timeout=getattr(options, "timeout", None) or config.boot_timeout,
        login=Login(password=rootpw) if options.run and rootpw is not None else None,
        run=tuple(options.run),
        screenshot=options.screenshot,
    )
    try:
        report = _report(wanted, scratch=config.tmpdir, cache=config.cache, arch=options.arch)
    except BootError as error:
        return _show_failure(error, config, output=options.output)
    if options.output == "json":
        write_json(report.facts(), config)
    else:
        _show(report)
    return 0


def report_of(disk: Path, *, scratch: Path, screenshot: Path, timeout: float) -> BootReport:
    """Boot a disk by BIOS and take its picture; `BootError` when it does not come up."""
    wanted = Boot(disk=disk, timeout=timeout, screenshot=screenshot)
    return _report(wanted, scratch=scratch, cache=scratch)


def _report(wanted: Boot, *, scratch: Path, cache: Path, arch: str = "x86_64") -> BootReport:
    tools = Tools()
    scratch.mkdir(parents=True, exist_ok=True)
    emulator = find_emulator(tools, cache=cache, arch=arch)
    return boot_disk(wanted, tools=tools, emulator=emulator, scratch=scratch)


def _disk(image: str, config: Config, folder: Path) -> tuple[Path, Secret | None]:
    """A file, or the body of an image with the password that its template gives to root.

    A body that is kept as chunks is written into the folder.
    """
    if (file := Path(image)).is_file():
        return file, None
    with open_factory(config) as factory:
        known = factory.find(image)
        if known is None:
            msg = f'There is neither a file nor an image "{image}"'
            raise NotFound(msg)
        if factory.body_size(image) is None:
            msg = f'The image "{image}" has no body to boot'
            raise NotFound(msg)
        if not (body := factory.body(image)).is_file():
            body = folder / "disk"
            factory.workshop.bodies.write_plain(image, body)
        return body, parse(known.template).os.rootpw if known.template else None


def _show(report: BootReport) -> None:
    how = f"{TITLES[report.firmware]}, {report.accelerator}"
    sys.stdout.write(f"The system was up after {report.up:.1f} s ({how})\n")
    for result in report.commands:
        ending = f" (exit status {result.status})" if result.status else ""
        sys.stdout.write(f"# {result.command}{ending}\n{result.output}")


def _show_failure(error: BootError, config: Config, *, output: str) -> int:
    console = error.tail.splitlines()[-_TAIL:]
    if output == "json":
        answer = {"error": error.brief, "code": error.code, "console": console}
        write_json(answer, config)
        return 1
    sys.stderr.write("".join(f"{line}\n" for line in console))
    raise error
