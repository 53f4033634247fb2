"""Boot a throw-away copy of a disk until it is up, look at it, and switch it off."""

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

from imagefactory.core.errors import BootError, BuildError
from imagefactory.engine.boot.accelerator import Emulator
from imagefactory.engine.boot.console import Console
from imagefactory.engine.boot.firmware import Firmware, check_firmware, find_uefi
from imagefactory.engine.boot.machine import AttachedDrive, Machine, UefiFiles, Wires
from imagefactory.engine.boot.overlay import overlay
from imagefactory.engine.boot.qmp import Monitor
from imagefactory.engine.boot.report import BootReport
from imagefactory.engine.boot.request import Boot, Drive
from imagefactory.engine.boot.running import running, wire_pair
from imagefactory.engine.boot.screen import Controls
from imagefactory.engine.boot.session import Session
from imagefactory.engine.boot.shell import Answers, Shell
from imagefactory.engine.boot.trial import BROKEN, STAGES, Trial
from imagefactory.engine.command import Tools


def boot(what: Boot, *, tools: Tools, emulator: Emulator, scratch: Path) -> BootReport:
    """Boot and report. `BootError` says in one sentence why a disk did not come up.

    It is up when a login prompt is shown, or systemd has reached its default target; with commands to
    run it is the prompt that counts. `scratch` is a folder for what the machine writes, of which
    nothing stays. Whatever happens to this process, QEMU ends with it.
    """
    if what.run and what.login is None:
        msg = "Commands run in a login"
        raise ValueError(msg)
    with ExitStack() as stack:
        session = _switch_on(what, tools, emulator, scratch, stack)
        try:
            session.come_up()
        except BootError:
            session.take_screenshot()
            raise
        session.take_screenshot()
        results = session.run_commands()
        off = session.switch_off() if what.switch_off else None
        return session.report(results, off)


def _switch_on(
    what: Boot, tools: Tools, emulator: Emulator, scratch: Path, stack: ExitStack
) -> Session:
    log = None if what.log is None else stack.enter_context(what.log.open("wb", buffering=0))
    console, answers, monitor = Console(log=log), Answers(), Monitor()
    keyboard, console_end = stack.enter_context(wire_pair(console.feed))
    port, commands_end = stack.enter_context(wire_pair(answers.feed))
    control, monitor_end = stack.enter_context(wire_pair(monitor.feed))
    screen = stack.enter_context(TemporaryFile(dir=scratch))  # noqa: SIM115 - closed by the stack
    wires = Wires(
        disk=stack.enter_context(overlay(what.disk, tools=tools, scratch=scratch, size=what.size)),
        console=console_end.fileno(),
        commands=commands_end.fileno(),
        monitor=monitor_end.fileno(),
        screen=screen.fileno(),
        uefi=_uefi(what.firmware, emulator.arch, scratch, stack),
        drives=tuple(_attached(drive, stack) for drive in what.drives),
    )
    machine = Machine(
        emulator=emulator,
        processors=what.processors or min(2, os.cpu_count() or 1),
        memory=what.memory,
        network=what.network,
        hardware=what.hardware,
        system=what.system,
    )
    process = stack.enter_context(tools.start(machine.argv(wires), pass_fds=wires.descriptors))
    for end in (console_end, commands_end, monitor_end):
        end.close()
    console.start()
    device = emulator.board.port
    ours = [keyboard, port, control]
    trial = Trial(
        disk=what.disk.name,
        firmware=what.firmware,
        console=console,
        running=stack.enter_context(running(process, ours, tools.cancellation)),
        stages={name: console.watch(pattern) for name, pattern in STAGES.items()},
        broken=console.watch(BROKEN),
        log=what.log,
    )
    return Session(
        what=what,
        tools=tools,
        emulator=emulator,
        trial=trial,
        shell=Shell(trial=trial, keyboard=keyboard, port=port, device=device, answers=answers),
        controls=Controls(running=trial.running, monitor=monitor, wire=control, screen=screen),
    )


def _attached(drive: Drive, stack: ExitStack) -> AttachedDrive:
    try:
        file = stack.enter_context(drive.path.open("r+b" if drive.writable else "rb"))
    except OSError as error:
        msg = f'The disk "{drive.path}" cannot be opened: {error.strerror}'
        raise BuildError(msg) from error
    return AttachedDrive(descriptor=file.fileno(), writable=drive.writable)


def _uefi(firmware: Firmware, arch: str, scratch: Path, stack: ExitStack) -> UefiFiles | None:
    check_firmware(firmware, arch)
    if firmware == "bios":
        return None
    found = find_uefi(arch)
    variables = stack.enter_context(TemporaryFile(dir=scratch))  # noqa: SIM115 - closed by the stack
    variables.write(found.variables.read_bytes())
    variables.flush()
    return UefiFiles(code=found.code, variables=variables.fileno())
