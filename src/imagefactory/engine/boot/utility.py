"""The step that lets a machine made from one image turn another image into something."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

from imagefactory.core.errors import BuildError, CommandFailed
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.errands import Errand, errands
from imagefactory.engine.boot.firmware import Firmware
from imagefactory.engine.boot.machine import Network
from imagefactory.engine.boot.report import CommandResult
from imagefactory.engine.boot.request import Boot, Drive, Login
from imagefactory.engine.disk import workspace
from imagefactory.engine.formats import sparse
from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.plan import Build, Other, Step

SPACE: Final = 30 << 30  #: bytes of the working space, of which only what is used takes room
_TOLD: Final = 3  # of a failed command's last lines


@dataclass(frozen=True, kw_only=True)
class RunUtility(Step):
    """Boots a throw-away copy of a utility image, gives it `build.source`, and takes `build.disk` from it.

    The working space is its second disk. The input is a file there, or with `input_file` None the
    machine's third disk, of which it gets a copy.
    """

    weight: ClassVar[int] = 120

    utility: str | None  #: an image's id; None is the input itself
    password: Secret | None = field(default=None)  #: root's in the input
    tasks: Template | None  #: of which repositories, packages, files and commands count
    input_file: str | None
    results: str  #: path in the working space
    firmware: Firmware
    processors: int | None
    memory: int  #: bytes
    network: bool
    boot_timeout: float
    timeout: float  #: seconds for each command

    @property
    def activity(self) -> str:
        return "Running the utility image"

    def run(self, build: Build) -> None:
        assert build.source is not None  # noqa: S101 - every target image is made from one
        todo = [] if self.tasks is None else list(errands(build, self.tasks))
        wanted = self._boot(build, self._utility(build, build.source), todo)
        space, content = build.scratch / "workspace", build.scratch / "workspace.files"
        copy = build.scratch / "input"
        workspace.clear(space, content, copy)
        content.mkdir()
        try:
            build.report(0, "Preparing the working space")
            if self.input_file is not None:
                workspace.put(build.source, content, self.input_file)
            workspace.make(space, size=SPACE, content=content, tools=build.tools)
            drives = [Drive(path=space, writable=True)]
            if self.input_file is None:
                sparse.copy(build.source, copy, advance=lambda _position: build.report(5))
                drives.append(Drive(path=copy, writable=True))
            build.report(10, self.activity)
            _work(build, replace(wanted, drives=drives), todo)
            build.report(90, "Taking the result out of the working space")
            workspace.take(space, self.results, build.disk)
        finally:
            workspace.clear(space, content, copy)
        disk = inspect(build.disk)
        build.note(format=disk.format, virtual_size=disk.virtual_size)

    def _utility(self, build: Build, source: Path) -> Other:
        """Whose copy is booted, with the password that it is logged in with."""
        other = Other(body=source, password=self.password)
        if self.utility is not None:
            other = build.other(self.utility)
        if other.password is None:
            msg = f'The utility image "{self.utility or build.id}" has no root password to log in with'
            raise BuildError(msg, hint="Give its template a <rootpw>")
        return other

    def _boot(self, build: Build, utility: Other, todo: Sequence[Errand]) -> Boot:
        assert utility.password is not None  # noqa: S101 - see `_utility`
        return Boot(
            disk=utility.body,
            firmware=self.firmware,
            timeout=self.boot_timeout,
            run_timeout=self.timeout,
            memory=self.memory,
            processors=self.processors,
            network=Network(open=self.network),
            login=Login(password=utility.password),
            run=[errand.line for errand in todo],
            switch_off=True,
            log=build.artifacts / "utility.log",
        )


def _work(build: Build, wanted: Boot, todo: Sequence[Errand]) -> None:
    emulator = find_emulator(build.tools, cache=build.cache)
    report = boot(wanted, tools=build.tools, emulator=emulator, scratch=build.scratch)
    for errand, result in zip(todo, report.commands, strict=True):
        _judge(build, errand, result)


def _judge(build: Build, errand: Errand, result: CommandResult) -> None:
    build.tools.log(f"== {errand.what}: {result.status}\n{result.output.rstrip()}")
    if result.status == 0:
        return
    lines = [line.strip() for line in result.output.splitlines() if line.strip()]
    told = "; ".join(lines[-_TOLD:])
    msg = f"In the utility image {errand.what} failed with exit status {result.status}"
    raise CommandFailed(
        f"{msg}: {told}" if told else msg, exit_status=result.status, tail=result.output
    )
