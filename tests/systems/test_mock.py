"""The mock system's bodies are known to the letter by the test suites of clients."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import SystemContract, made_with, template
from fakes.build import a_build
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.plugins.contract import Customization
from imagefactory.systems.mock import MockOS


class TestMockOS(SystemContract):
    template: ClassVar[Template] = template(name="MockOS_B", version="1")

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return MockOS(made_with(tmp_path))

    def test_it_writes_one_sentence(self, plugin: MockOS, tmp_path: Path) -> None:
        build = a_build(tmp_path, build_id="0815")
        for step in plugin.plan_base(self.template, Parameters({})):
            step.run(build)
        assert build.disk.read_bytes() == b"MockOS base_image file for id (0815)"
        for step in plugin.plan_customize(self.template, Parameters({}), Customization()):
            step.run(build)
        assert build.disk.read_bytes() == b"MockOS target_image file for id (0815)"
        assert not list(build.artifacts.iterdir())
