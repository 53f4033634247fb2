"""One installation, from switching the machine on until the installer has switched it off."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from imagefactory.core.errors import BootError
from imagefactory.engine.boot.accelerator import Emulator
from imagefactory.engine.boot.console import Console, quote
from imagefactory.engine.boot.machine import Kernel, Machine, Network, Wires
from imagefactory.engine.boot.qmp import Monitor
from imagefactory.engine.boot.running import Running, running, wire_pair
from imagefactory.engine.boot.screen import Controls
from imagefactory.engine.boot.target import Target
from imagefactory.engine.installer.activity import Activity
from imagefactory.engine.installer.gateway import ADDRESS, Gateway, gateway
from imagefactory.engine.installer.watching import Limits, Overseer, Phase
from imagefactory.engine.plan import Build

_LOOK = 2.0  # seconds between looks at the installer


def _unwatched(_phase: Phase) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What is installed, where from, and how long that may take."""

    name: str  #: of the system, for messages
    kernel: Kernel
    disk: Path  #: raw; there, and of its final size
    sources: tuple[str, ...]  #: URL prefixes that the installer may fetch from
    limits: Limits = field(default_factory=Limits)
    memory: int = 2 << 30  #: bytes
    log: Path  #: gets the console
    screenshot: Path  #: of an installer that failed
    entered: Callable[[Phase], None] = _unwatched


def install(what: Installation, build: Build, emulator: Emulator) -> None:
    """Run the installer to its end; `BootError` says in one sentence why it did not come there.

    Whatever happens to this process, QEMU ends with it.
    """
    with ExitStack() as stack:
        way = stack.enter_context(gateway(build, what.sources))
        visit = _switch_on(what, build, emulator, way, stack)
        try:
            visit.until_off()
        except BootError:
            visit.controls.take_picture(what.screenshot, log=build.tools.log)
            raise


@dataclass(frozen=True, kw_only=True)
class _Visit:
    """An installer at work, and what there is to see of it."""

    overseer: Overseer
    controls: Controls
    way: Gateway

    def until_off(self) -> None:
        """Look now and then until the machine is off."""
        machine = self.controls.running
        self.overseer.start()
        while machine.wait(lambda: _ended(machine), seconds=_LOOK) is None:
            self._count()
            self.overseer.look()
        if machine.exit_status:
            complaints = machine.complaints.decode(errors="replace").splitlines()
            raise self.overseer.failed(f'did not end, QEMU did: "{quote(complaints[-2:])}"')
        if self.overseer.phase != "install":
            raise self.overseer.failed("has switched its machine off and installed nothing")

    def _count(self) -> None:
        activity = self.overseer.activity
        activity.count("loaded", self.way.carried)
        answer = self.controls.ask("query-blockstats") or {}
        for device in answer.get("return", ()):
            statistics = device.get("stats", {})
            if device.get("qdev"):
                activity.count("written", statistics.get("wr_bytes", 0))
                activity.count("read", statistics.get("rd_bytes", 0))


def _ended(machine: Running) -> bool | None:
    return None if machine.exit_status is None else True


def _switch_on(
    what: Installation, build: Build, emulator: Emulator, way: Gateway, stack: ExitStack
) -> _Visit:
    log = stack.enter_context(what.log.open("wb", buffering=0))
    console, monitor = Console(log=log), Monitor()
    keyboard, console_end = stack.enter_context(wire_pair(console.feed))
    port, commands_end = stack.enter_context(wire_pair(lambda _data: None))
    control, monitor_end = stack.enter_context(wire_pair(monitor.feed))
    screen = stack.enter_context(TemporaryFile(dir=build.scratch))  # noqa: SIM115 - closed by the stack
    disk = stack.enter_context(what.disk.open("r+b"))
    wires = Wires(
        disk=Target(file=disk.fileno()),
        console=console_end.fileno(),
        commands=commands_end.fileno(),
        monitor=monitor_end.fileno(),
        screen=screen.fileno(),
    )
    machine = Machine(
        emulator=emulator,
        processors=min(2, os.cpu_count() or 1),
        memory=what.memory,
        network=Network(forwards={ADDRESS: way.port}),
        kernel=what.kernel,
    )
    argv = machine.argv(wires)
    process = stack.enter_context(build.tools.start(argv, pass_fds=wires.descriptors))
    for end in (console_end, commands_end, monitor_end):
        end.close()
    console.start()
    cancellation = build.tools.cancellation
    visible = stack.enter_context(running(process, [keyboard, port, control], cancellation))
    overseer = Overseer(
        name=what.name,
        limits=what.limits,
        console=console,
        activity=Activity(),
        entered=what.entered,
    )
    controls = Controls(running=visible, monitor=monitor, wire=control, screen=screen)
    return _Visit(overseer=overseer, controls=controls, way=way)
