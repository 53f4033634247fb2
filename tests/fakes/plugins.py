"""A system and a cloud whose steps do what a test's parameters say: wait, fail, die, or work."""
# ruff: noqa: ARG002 - a contract's method is given what any plugin may need

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from imagefactory.core.config import Config
from imagefactory.core.errors import BuildError, CloudError, FetchError, RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Command, Content, Package, Repository, Template
from imagefactory.engine.plan import Build, Plan, Report, Step
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed, SystemTarget
from imagefactory.plugins.registry import Registry

Mood = Literal["work", "wait", "fail", "fail once", "full", "bug", "die", "always die", "unfetched"]
MOODS: Final = (
    "work",
    "wait",
    "fail",
    "fail once",
    "full",
    "bug",
    "die",
    "always die",
    "unfetched",
)
STEPS: Final = 3


def a_template(*, system: str = "FakeOS", name: str = "fake", version: str = "1") -> str:
    """A valid template of a system."""
    return (
        f"<template><name>{name}</name><os><name>{system}</name><version>{version}</version>"
        "<arch>x86_64</arch><install type='url'><url>http://mirror.example.org/fake</url></install>"
        "<rootpw>open sesame</rootpw></os></template>"
    )


@dataclass(frozen=True, kw_only=True)
class Act(Step):
    """One step: notes in `<state>/ran` that it began and that it ended, and acts in between."""

    number: int
    mood: Mood = "work"

    @property
    def activity(self) -> str:
        return f"Acting in step {self.number}"

    def run(self, build: Build) -> None:
        noted = f"{build.id} {self.number}"
        _note(build.state, f"{noted} began")
        self._act(build)
        build.disk.write_text(f"disk of {build.id}, after step {self.number}")
        build.note(last_step=self.number)
        _note(build.state, f"{noted} ended")

    def _act(self, build: Build) -> None:
        match self.mood:
            case "wait":
                pid = build.state / f"pid-{build.id}"
                build.tools.run(["sh", "-c", 'echo $$ > "$1"; exec sleep 60', "sh", pid])
            case "fail once" if _first_time(build, f"failed-{self.number}"):
                msg = "The first attempt always fails"
                raise BuildError(msg)
            case "fail":
                msg = 'The package "nosuch" is unknown'
                raise BuildError(msg, hint='Did you mean "such"?')
            case "unfetched":
                msg = "The package file is not there any more"
                raise FetchError(msg)
            case "full":
                raise OSError(28, "No space left on device", str(build.disk))
            case "bug":
                msg = "password=hunter2"
                raise KeyError(msg)
            case "die" if _first_time(build, f"died-{self.number}"):
                os.kill(os.getpid(), signal.SIGKILL)
            case "always die":
                os.kill(os.getpid(), signal.SIGKILL)
            case _:
                pass


@dataclass(frozen=True, kw_only=True)
class Mark(Step):
    """A disk made from the source, with a word after what it says."""

    word: str

    @property
    def activity(self) -> str:
        return f'Marking the disk "{self.word}"'

    def run(self, build: Build) -> None:
        assert build.source is not None
        build.disk.write_text(f"{build.source.read_text()}, {self.word}")


class FakeSystem:
    """`FakeOS`. The parameter `step<N>` is the mood of a step."""

    def __init__(self, _config: Config) -> None:
        pass

    @property
    def info(self) -> Info:
        return info("FakeOS", "os", "Fake system")

    @property
    def targets(self) -> Sequence[SystemTarget]:
        return (("FakeOS", None, None),)

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        if template.os.version == "13":
            msg = 'The version "13" brings bad luck'
            raise RequestError(msg)
        return tuple(Act(number=number, mood=_mood(parameters, number)) for number in range(STEPS))

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        parts: tuple[Repository | Package | Command, ...]
        parts = (*extra.repositories, *extra.packages, *extra.commands)
        return tuple(Mark(word=part.name) for part in parts)


@dataclass(frozen=True, kw_only=True)
class FakeLogin:
    """An account is a file below the state folder, which may refuse, wait, or die once it has pushed."""

    account: Path
    password: Secret


class FakeCloud:
    """`fake`, and `customizing`, which wants a command in the guest. A provider is a file's name."""

    def __init__(self, config: Config) -> None:
        self._state = config.state

    @property
    def info(self) -> Info:
        return info("FakeCloud", "cloud", "Fake cloud")

    @property
    def targets(self) -> Sequence[str]:
        return ("fake", "customizing")

    def login(self, provider: str, credentials: Secret) -> FakeLogin:
        if not provider.isidentifier():
            msg = f'The provider "{provider}" is not a name'
            raise RequestError(msg)
        return FakeLogin(account=self._state / provider, password=credentials)

    def customization(self, template: Template) -> Customization:
        if template.name != "customized":
            return Customization()
        return Customization(commands=(Command(name="tuned", content=Content(text="true")),))

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        return (Mark(word="converted"),)

    def check(self, login: FakeLogin) -> None:
        if login.password.reveal() != "right":
            msg = f'The provider "{login.account.name}" refuses the password'
            raise CloudError(msg)

    def push(self, image: ProviderImage, disk: Path, login: FakeLogin, report: Report) -> Pushed:
        if (made := self.find(image.id, login)) is not None:
            return made
        if login.account.name == "slow":
            for percent in range(600):
                report(percent // 6)
                time.sleep(0.1)
        _note(self._state, f"{image.id} pushed")
        images = pushed_to(login.account) | {f"ami-{len(pushed_to(login.account))}": image.id}
        login.account.write_text(json.dumps(images))
        if login.account.name == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return Pushed(identifier=f"ami-{len(images) - 1}", account=login.account.name)

    def find(self, token: str, login: FakeLogin) -> Pushed | None:
        for identifier, image_id in pushed_to(login.account).items():
            if image_id == token:
                return Pushed(identifier=identifier, account=login.account.name)
        return None

    def delete(self, identifier: str, login: FakeLogin) -> None:
        self.check(login)
        images = pushed_to(login.account)
        images.pop(identifier, None)
        login.account.write_text(json.dumps(images))


def pushed_to(account: Path) -> dict[str, str]:
    """What lies in an account: identifier and image id."""
    images: dict[str, str] = json.loads(account.read_text()) if account.exists() else {}
    return images


def ran(state: Path) -> list[str]:
    """What steps and pushes have noted, in order."""
    path = state / "ran"
    return path.read_text().splitlines() if path.exists() else []


def fake_registry(config: Config) -> Registry:
    """The fake plugins alone."""
    return Registry(systems=(FakeSystem(config),), clouds=(FakeCloud(config),))


def _mood(parameters: Parameters, number: int) -> Mood:
    mood = parameters.choice(f"step{number}", MOODS, default="work")
    return next(known for known in MOODS if known == mood)


def _first_time(build: Build, what: str) -> bool:
    marker = build.state / f"{what}-of-{build.id}"
    if marker.exists():
        return False
    marker.touch()
    return True


def _note(state: Path, line: str) -> None:
    with (state / "ran").open("a") as file:
        file.write(f"{line}\n")
