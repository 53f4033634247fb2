"""A system that is only a sentence: it tries out a factory without building anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build, Plan, Step
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, SystemTarget


@dataclass(frozen=True, kw_only=True)
class WriteSentence(Step):
    """The whole body of an image of this system; clients' test suites know it to the letter."""

    noun: Literal["base_image", "target_image"]

    @property
    def activity(self) -> str:
        return "Writing a sentence instead of a system"

    def run(self, build: Build) -> None:
        write_atomically(build.disk, f"MockOS {self.noun} file for id ({build.id})")


class MockOS:
    """`MockOS_A` in any version, `MockOS_B` 1 for x86_64. Instant, and without a bill of materials."""

    def __init__(self, _config: Config) -> None:
        pass

    @property
    def info(self) -> Info:
        return info("MockOS", "os", "Mock system: images are one sentence of text")

    @property
    def targets(self) -> Sequence[SystemTarget]:
        return (("MockOS_A", None, None), ("MockOS_B", "1", "x86_64"))

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        return (WriteSentence(noun="base_image"),)

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        return (WriteSentence(noun="target_image"),)
