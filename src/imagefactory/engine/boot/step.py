"""The step that boots the finished disk with each firmware that it is made for."""

import json
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from imagefactory.core.errors import BootError, ToolMissing
from imagefactory.core.parameters import Parameters
from imagefactory.engine.boot.accelerator import Emulator, find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.firmware import TITLES, Firmware, find_uefi
from imagefactory.engine.boot.report import BootReport
from imagefactory.engine.boot.request import Boot
from imagefactory.engine.boot.trial import STAGES
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build, Plan, Step

REPORT: Final = "boot.json"
_TICK: Final = 0.5  # seconds between looks at how far the machines are


@dataclass(frozen=True, kw_only=True)
class BootTest(Step):
    """Boots throw-away copies of `build.disk`; a disk that does not come up fails the build.

    Leaves `boot.json`, and for each firmware `boot-<firmware>.log` and `.png`; notes `boot_tested` and
    the seconds until it was up as `boot_seconds`. Raises `BootError`; `ToolMissing` when it is
    `required` and this host cannot boot.
    """

    weight: ClassVar[int] = 30
    writes: ClassVar[bool] = False
    judges: ClassVar[bool] = True

    firmwares: tuple[Firmware, ...]
    arch: str = "x86_64"  #: TDL's name
    required: bool = False  #: else a host without QEMU leaves the image untested, and says so
    timeout: float = 600.0  #: seconds for each boot

    @property
    def activity(self) -> str:
        return f"Booting a copy of the disk ({', '.join(TITLES[name] for name in self.firmwares)})"

    def run(self, build: Build) -> None:
        try:
            emulator = self._emulator(build)
        except ToolMissing as missing:
            if self.required:
                raise
            build.tools.log(f"The image stays untested: {missing}")
            build.note(boot_tested=False, boot_untested_because=str(missing))
            return
        outcomes = self._boot_all(build, emulator)
        facts = [_facts(name, outcome) for name, outcome in outcomes.items()]
        write_atomically(build.artifacts / REPORT, json.dumps({"boots": facts}, indent=1) + "\n")
        for outcome in outcomes.values():
            if isinstance(outcome, BootError):
                raise outcome
        build.note(
            boot_tested=True, boot_seconds={fact["firmware"]: fact["login"] for fact in facts}
        )

    def _emulator(self, build: Build) -> Emulator:
        emulator = find_emulator(build.tools, cache=build.cache, arch=self.arch)
        build.tools.run(["qemu-img", "--version"], quiet=True)
        if "uefi" in self.firmwares:
            find_uefi(self.arch)
        return emulator

    def _boot_all(self, build: Build, emulator: Emulator) -> dict[Firmware, BootReport | BootError]:
        """All firmwares, two at a time. Each machine has two processors all the same: where one waits,
        the other uses both of the host's, and both are up in two thirds of the time.
        """
        cores = os.cpu_count() or 1
        abreast = max(1, min(cores, len(self.firmwares), 2))
        stages: list[str] = []
        with ThreadPoolExecutor(max_workers=abreast) as pool:
            futures: dict[Firmware, Future[BootReport]] = {
                name: pool.submit(
                    boot,
                    self._request(name, build, stages.append, min(2, cores)),
                    tools=build.tools,
                    emulator=emulator,
                    scratch=build.scratch,
                )
                for name in self.firmwares
            }
            pending = set(futures.values())
            while pending:
                build.report(100 * len(stages) // (len(STAGES) * len(futures)))
                pending = wait(pending, timeout=_TICK).not_done
        return {name: _outcome(future) for name, future in futures.items()}

    def _request(
        self, firmware: Firmware, build: Build, seen: Callable[[str], None], processors: int
    ) -> Boot:
        def watch(stage: str) -> None:
            seen(stage)
            build.tools.log(f"{TITLES[firmware]}: {stage}")

        return Boot(
            disk=build.disk,
            firmware=firmware,
            timeout=self.timeout,
            processors=processors,
            log=build.artifacts / f"boot-{firmware}.log",
            screenshot=build.artifacts / f"boot-{firmware}.png",
            watch=watch,
        )


def plan_boot_test(
    parameters: Parameters,
    *,
    firmwares: tuple[Firmware, ...],
    arch: str = "x86_64",
    timeout: float = 600.0,
) -> Plan:
    """The step that the parameter `boot_test` asks for: `auto` (the default), true or false."""
    if parameters.given.get("boot_test", "auto") == "auto":
        return (BootTest(firmwares=firmwares, arch=arch, timeout=timeout),)
    if parameters.boolean("boot_test", default=True):
        return (BootTest(firmwares=firmwares, arch=arch, required=True, timeout=timeout),)
    return ()


def _outcome(future: Future[BootReport]) -> BootReport | BootError:
    try:
        return future.result()
    except BootError as error:
        return error


def _facts(firmware: Firmware, outcome: BootReport | BootError) -> dict[str, Any]:
    if isinstance(outcome, BootError):
        return {"firmware": firmware, "error": str(outcome), "console": outcome.tail.splitlines()}
    return outcome.facts()
