"""What every plugin is held to: its test inherits from here, and adds what only it does.

A cloud's test is a class of some twenty lines that inherits `CloudContract` (reading and planning,
no I/O) and `PushContract` (a place to push to: a folder, or a server that a fixture starts).
"""

import dataclasses
import json
import os
import pprint
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import pytest

from fakes.build import Told
from imagefactory.core.config import Config
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template, parse
from imagefactory.engine.plan import Plan, Step, show
from imagefactory.plugins.contract import Cloud, Customization, Info, System
from imagefactory.plugins.registry import Registry

LoginT = TypeVar("LoginT")

TOKEN: Final = "4cc3b024-5fe7-4b0b-934b-c5d463b990b0"
TDL: Final = """
<template>
  <name>web-server</name>
  <os>
    <name>{name}</name><version>{version}</version><arch>x86_64</arch>
    <install type='url'><url>http://mirror.example.org/debian</url></install>
    <rootpw>not-to-be-shown</rootpw>
  </os>
</template>
"""


def template(*, name: str = "Debian", version: str = "12") -> Template:
    """A small template for a system."""
    return parse(TDL.format(name=name, version=version))


class PluginContract(ABC):
    """What systems and clouds have in common."""

    #: parameters that the plugin reads, each with a value of the wrong type
    wrong_parameters: ClassVar[Mapping[str, object]] = {}

    @pytest.fixture
    @abstractmethod
    def plugin(self, tmp_path: Path) -> Any:
        """The plugin, made with a configuration."""

    @abstractmethod
    def plan(self, plugin: Any, parameters: Parameters) -> Plan:
        """The plan that reads the parameters."""

    def test_its_info_is_complete(self, plugin: System | Cloud[Any]) -> None:
        assert isinstance(plugin.info, Info)
        for word in ("id", "type", "description", "version", "license"):
            assert getattr(plugin.info, word), word
        assert plugin.info.maintainer.name
        assert plugin.targets
        assert len(set(plugin.targets)) == len(plugin.targets)

    def test_the_same_request_gives_the_same_plan(self, plugin: Any) -> None:
        first, second = (self.plan(plugin, Parameters({})) for _ in range(2))
        assert first
        assert all(isinstance(step, Step) for step in first)
        assert first == second
        assert [step.key for step in first] == [step.key for step in second]
        assert all(step.activity and step.weight > 0 for step in first)
        assert "not-to-be-shown" not in show(first)

    def test_a_parameter_of_the_wrong_type_is_the_clients_error(self, plugin: Any) -> None:
        for key, value in self.wrong_parameters.items():
            with pytest.raises(RequestError, match=re.escape(f'"{key}"')):
                self.plan(plugin, Parameters({key: value}))


class SystemContract(PluginContract):
    """A system's test inherits this."""

    template: ClassVar[Template] = template()

    def plan(self, plugin: System, parameters: Parameters) -> Plan:
        return plugin.plan_base(self.template, parameters)

    def test_the_registry_shows_it(self, plugin: System) -> None:
        registry = Registry(systems=[plugin])
        [shown] = registry.infos()
        assert json.loads(json.dumps(shown)) == shown
        assert all(len(row) == 3 for row in shown["targets"])
        os_ = self.template.os
        assert registry.system(os_.name, os_.version, os_.arch) is plugin

    def test_customizing_is_planned_the_same_way_twice(self, plugin: System) -> None:
        extra = Customization(packages=self.template.packages)
        plans = [
            plugin.plan_customize(self.template, Parameters({}), extra) for _repeated in range(2)
        ]
        assert plans[0] == plans[1] != ()


class CloudContract(PluginContract, Generic[LoginT]):
    """A cloud's test inherits this: what it reads and plans, without any I/O."""

    template: ClassVar[Template] = template()
    provider: ClassVar[str]
    credentials: ClassVar[str]
    #: what of the credentials is secret
    secrets: ClassVar[Collection[str]] = ()
    needs_credentials: ClassVar[bool] = True
    reads_credentials: ClassVar[bool] = True
    broken_providers: ClassVar[Collection[str]] = ("{}", "{", "<", "[]")

    def plan(self, plugin: Cloud[LoginT], parameters: Parameters) -> Plan:
        return plugin.plan_target(self.template, parameters)

    def test_the_registry_shows_it(self, plugin: Cloud[LoginT]) -> None:
        registry = Registry(clouds=[plugin])
        [shown] = registry.infos()
        assert json.loads(json.dumps(shown)) == shown
        assert all(registry.cloud(target) is plugin for [target] in shown["targets"])

    def test_the_same_texts_give_the_same_login(self, plugin: Cloud[LoginT]) -> None:
        first, second = (
            plugin.login(self.provider, Secret(self.credentials)) for _repeated in range(2)
        )
        assert first == second
        assert dataclasses.is_dataclass(first)
        name = dataclasses.fields(first)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(first, name, None)

    def test_a_login_never_shows_its_secrets(self, plugin: Cloud[LoginT]) -> None:
        login = plugin.login(self.provider, Secret(self.credentials))
        shown = (
            f"{login} {login!r} {login!s:>200} {vars(login)} {pprint.pformat(login)}"
            f"{dataclasses.asdict(login) if dataclasses.is_dataclass(login) else ''}"  # type: ignore[arg-type]
        )
        assert all(secret in self.credentials for secret in self.secrets)
        assert not [secret for secret in self.secrets if secret in shown]

    def test_no_credentials_are_the_clients_error(self, plugin: Cloud[LoginT]) -> None:
        for nothing in ("", "  ", "\n"):
            if self.needs_credentials:
                with pytest.raises(RequestError):
                    plugin.login(self.provider, Secret(nothing))
            else:
                plugin.login(self.provider, Secret(nothing))

    def test_an_unusable_provider_is_the_clients_error(self, plugin: Cloud[LoginT]) -> None:
        for unusable in ("", "  ", *self.broken_providers):
            with pytest.raises(RequestError):
                plugin.login(unusable, Secret(self.credentials))

    def test_broken_credentials_are_refused_without_showing_them(
        self, plugin: Cloud[LoginT]
    ) -> None:
        if not self.reads_credentials:
            pytest.skip("this cloud does not read them")
        for broken in (self.credentials[:-3], self.credentials + "<", "words"):
            with pytest.raises(RequestError) as error:
                plugin.login(self.provider, Secret(broken))
            told = f"{error.value} {error.value.hint} {error.value.__cause__!r}"
            assert not [secret for secret in self.secrets if secret in told]

    def test_what_it_wants_in_the_guest_is_decided_without_asking_anybody(
        self, plugin: Cloud[LoginT]
    ) -> None:
        wanted = plugin.customization(self.template)
        assert isinstance(wanted, Customization)
        assert wanted == plugin.customization(self.template)


class Interrupted(Exception):
    """What a worker's report raises when its build is to end at once."""


class PushContract(ABC, Generic[LoginT]):
    """A cloud's test inherits this beside the other, where there is something to push to."""

    @pytest.fixture
    @abstractmethod
    def cloud(self, tmp_path: Path) -> Cloud[LoginT]:
        """The plugin, made with a configuration."""

    @pytest.fixture
    @abstractmethod
    def login(self, cloud: Cloud[LoginT]) -> LoginT:
        """A login that works."""

    @pytest.fixture
    @abstractmethod
    def refused(self) -> LoginT:
        """A login that the provider refuses."""

    @abstractmethod
    def things(self, login: LoginT) -> Collection[str]:
        """Names of all that lies at the provider, asked there and not of the plugin."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Path:
        """A disk that takes more than one step to push, with holes and without a pattern."""
        path = tmp_path / "disk.body"
        with path.open("wb") as file:
            file.truncate(40 << 20)
            file.write(b"\xeb\x63\x90" + os.urandom(1 << 20))
            file.seek(33 << 20)
            file.write(os.urandom(5 << 20))
        return path

    @pytest.fixture
    def image(self) -> ProviderImage:
        """What is to be pushed."""
        text = template().text
        return ProviderImage(id=TOKEN, name="web-server", provider="p", target="t", template=text)

    def test_a_pushed_image_is_found_until_it_is_deleted(
        self, cloud: Cloud[LoginT], login: LoginT, image: ProviderImage, disk: Path
    ) -> None:
        before, told = sorted(self.things(login)), Told()
        cloud.check(login)
        assert cloud.find(image.id, login) is None
        pushed = cloud.push(image, disk, login, told)
        assert pushed.identifier
        assert pushed.account
        assert cloud.find(image.id, login) == pushed
        assert sorted(self.things(login)) != before
        cloud.delete(pushed.identifier, login)
        assert cloud.find(image.id, login) is None
        assert sorted(self.things(login)) == before

    def test_progress_only_rises_and_says_what_is_done(
        self, cloud: Cloud[LoginT], login: LoginT, image: ProviderImage, disk: Path
    ) -> None:
        told = Told()
        cloud.push(image, disk, login, told)
        assert told.activities
        assert told.percents == sorted(told.percents)
        assert told.percents[-1] == 100

    def test_pushing_twice_under_one_token_makes_one_image(
        self, cloud: Cloud[LoginT], login: LoginT, image: ProviderImage, disk: Path
    ) -> None:
        pushed = cloud.push(image, disk, login, Told())
        there = sorted(self.things(login))
        assert cloud.push(image, disk, login, Told()) == pushed
        assert sorted(self.things(login)) == there

    def test_deleting_what_is_gone_is_success(
        self, cloud: Cloud[LoginT], login: LoginT, image: ProviderImage, disk: Path
    ) -> None:
        pushed = cloud.push(image, disk, login, Told())
        cloud.delete(pushed.identifier, login)
        cloud.delete(pushed.identifier, login)

    def test_a_push_that_dies_half_way_leaves_nothing_behind(
        self, cloud: Cloud[LoginT], login: LoginT, image: ProviderImage, disk: Path
    ) -> None:
        before = sorted(self.things(login))

        def interrupt(percent: int, activity: str | None = None) -> None:  # noqa: ARG001
            if percent > 20:
                raise Interrupted

        with pytest.raises(Interrupted):
            cloud.push(image, disk, login, interrupt)
        assert cloud.find(image.id, login) is None
        assert sorted(self.things(login)) == before

    def test_a_wrong_key_is_told_within_a_second(
        self, cloud: Cloud[LoginT], refused: LoginT
    ) -> None:
        """Of a few tries the quickest counts: libraries are loaded once, and neighbours may be busy."""
        took = []
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(CloudError):
                cloud.check(refused)
            took.append(time.monotonic() - began)
        assert min(took) < 1

    def test_a_refusal_is_a_cloud_error(
        self, cloud: Cloud[LoginT], refused: LoginT, image: ProviderImage, disk: Path
    ) -> None:
        with pytest.raises(CloudError):
            cloud.check(refused)
        with pytest.raises(CloudError):
            cloud.push(image, disk, refused, Told())
        with pytest.raises(CloudError):
            cloud.find(image.id, refused)


def made_with(tmp_path: Path, **options: object) -> Config:
    """A configuration whose state is a test's own."""
    return Config.parse({"state": str(tmp_path / "state"), **options})
