"""A system for a daemon in a process of its own: its second step waits until a test lets it go on."""
# ruff: noqa: ARG002 - a contract's method is given what any plugin may need

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build, Plan, Step
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, SystemTarget

GO: Final = "go"
TEMPLATE: Final = (
    "<template><name>patient</name><os><name>PatientOS</name><version>1</version>"
    "<arch>x86_64</arch><install type='url'><url>http://mirror.example.org/x</url></install>"
    "</os></template>"
)


@dataclass(frozen=True, kw_only=True)
class Note(Step):
    """Notes in `<state>/steps` that it ran."""

    word: str
    waits: bool = False

    @property
    def activity(self) -> str:
        return f"Noting {self.word}"

    def run(self, build: Build) -> None:
        with (build.state / "steps").open("a") as file:
            file.write(f"{self.word}\n")
        while self.waits and not (build.state / GO).exists():
            build.tools.cancellation.check()
            time.sleep(0.05)
        write_atomically(build.disk, self.word)


class PatientOS:
    """Three steps, the second of which waits for the file `<state>/go`."""

    def __init__(self, _config: Config) -> None:
        pass

    @property
    def info(self) -> Info:
        return info("PatientOS", "os", "Waits")

    @property
    def targets(self) -> Sequence[SystemTarget]:
        return (("PatientOS", None, None),)

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        return Note(word="first"), Note(word="second", waits=True), Note(word="third")

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        return ()


def install(folder: Path) -> Path:
    """Make a folder that, on PYTHONPATH, brings this plugin as an installed package would."""
    package = folder / "patient-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: patient\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[imagefactory.systems]\npatient = fakes.patient:PatientOS\n"
    )
    return folder
