"""The same lock gives the same bytes: at another time, with other caches, in another environment."""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from fakes.build import a_build
from imagefactory.core import template as tdl
from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.engine.boot.step import BootTest
from imagefactory.engine.command import Tools
from imagefactory.engine.plan import Build, execute
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Tree
from imagefactory.systems.debian import Debian

EPOCH: Final = 1_700_000_000
_DAY: Final = 86400


@pytest.fixture(params=["12", pytest.param("13", marks=pytest.mark.slow)])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def builds(config: Config, version: str) -> Iterator[list[Build]]:
    made = [
        replace(
            a_build(config.state, build_id=f"same-bytes-{version}-{number}"),
            mirrors=config.mirrors,
        )
        for number in (1, 2)
    ]
    sandbox = Sandbox(state=config.state, tools=Tools())
    for build in made:
        for folder in (build.scratch.parent, build.scratch, build.cache):
            sandbox.own(folder)
    yield made
    for build in made:
        sandbox.remove(build.scratch)
    sandbox.remove(config.state / "another-cache")


def test_one_lock_gives_one_disk(
    config: Config,
    template: str,
    version: str,
    builds: list[Build],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = builds
    build(first, config, template, version, source_date_epoch=EPOCH)
    lock = (first.artifacts / "lock.json").read_text()
    cache = config.state / "another-cache"
    Sandbox(state=config.state, tools=Tools()).own(cache)
    (cache / "objects").symlink_to(first.cache / "objects")
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    time.tzset()
    before = os.umask(0o077)
    try:
        build(replace(second, cache=cache), config, template, version, lock=lock)
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert digest(first.disk) == digest(second.disk)
    stamps = Tree.load(first).run(["cut", "-d:", "-f3", "/etc/shadow"], quiet=True).split()
    assert set(stamps) == {str(EPOCH // _DAY)}


def build(build: Build, config: Config, template: str, version: str, **parameters: object) -> None:
    filling = {"VERSION": version, "SIZE": "2 GiB", "PACKAGE": "tree", "COMMAND": "true"}
    for name, value in filling.items():
        template = template.replace(f"@{name}@", value)
    plan = Debian(config).plan_base(tdl.parse(template), Parameters(parameters))
    steps = tuple(step for step in plan if not isinstance(step, BootTest))
    execute(steps, build, record=lambda _name, action: action())


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
