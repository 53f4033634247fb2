"""The mock cloud takes everything, and its bodies are known to the letter by clients."""

import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import TOKEN, CloudContract, made_with, template
from fakes.build import Told, a_build
from imagefactory.clouds.mock import MockCloud, MockLogin
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.plugins.contract import Snapshots


class TestMockCloud(CloudContract[MockLogin]):
    template: ClassVar[Template] = template(name="MockOS_A", version="1")
    provider: ClassVar[str] = "mock-provider"
    credentials: ClassVar[str] = "mock-credentials"
    reads_credentials: ClassVar[bool] = False
    broken_providers: ClassVar[Collection[str]] = ()

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return MockCloud(made_with(tmp_path))

    def test_a_mock_systems_image_is_one_sentence(self, plugin: MockCloud, tmp_path: Path) -> None:
        build = a_build(tmp_path, build_id="0815")
        for step in plugin.plan_target(self.template, Parameters({})):
            step.run(build)
        assert build.disk.read_bytes() == b"MockOS target_image file for id (0815)"
        assert not list(build.artifacts.iterdir())

    def test_a_real_systems_disk_is_copied(self, plugin: MockCloud) -> None:
        assert plugin.plan_target(template(name="Debian"), Parameters({})) == (
            Convert(format="raw"),
        )

    def test_a_push_succeeds_and_goes_nowhere(self, plugin: MockCloud, tmp_path: Path) -> None:
        login = plugin.login("anything", Secret("<anything"))
        image = ProviderImage(id=TOKEN, provider="anything", target="mock")
        pushed = plugin.push(image, tmp_path / "disk", login, Told())
        assert uuid.UUID(pushed.identifier).version == 4
        assert pushed.account == "mock_user"
        plugin.delete(pushed.identifier, login)
        plugin.delete(pushed.identifier, login)

    def test_it_builds_images_itself_too(self, plugin: MockCloud) -> None:
        assert isinstance(plugin, Snapshots)
        login = plugin.login("anything", Secret("<anything"))
        image = ProviderImage(id=TOKEN, provider="anything", target="mock")
        pushed = plugin.snapshot(image, self.template, login, Told())
        assert uuid.UUID(pushed.identifier).version == 4
        assert pushed.account == "mock_user"
