"""Who is alive, told by locks."""

from pathlib import Path

import pytest

from imagefactory.builds.claim import claim
from imagefactory.builds.executors import Executors
from imagefactory.core.errors import ConfigError


@pytest.fixture
def executors(tmp_path: Path) -> Executors:
    return Executors(folder=tmp_path / "executors")


def test_the_dead_are_inherited_and_the_living_are_not(executors: Executors) -> None:
    with executors.live("one", patience=0), executors.inherit("one") as dead:
        assert not dead
    with executors.inherit("one") as dead:
        assert dead
        with executors.inherit("one") as twice:
            assert not twice
    assert not list(executors.folder.iterdir())


def test_a_name_is_taken_once(executors: Executors) -> None:
    with (
        executors.live("one", patience=0),
        executors.live("two", patience=0),
        pytest.raises(ConfigError, match='A worker named "one" already runs'),
        executors.live("one", patience=0.2),
    ):
        pass


def test_the_living_say_what_they_are_limited_to(executors: Executors) -> None:
    (executors.folder / "general.lock").parent.mkdir(parents=True)
    (executors.folder / "general.lock").write_text(
        '["a", "longer", "list", "of", "a", "dead", "one"]'
    )
    with (
        executors.live("general", patience=0),
        executors.live("special", patience=0, abilities=["push", "aarch64"]),
        executors.live("private", patience=0, abilities=None),
    ):
        assert sorted(map(sorted, executors.limits())) == [[], ["aarch64", "push"]]
    assert executors.limits() == []


def test_an_image_belongs_to_one_job(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "image"
    with claim(folder) as mine, claim(folder) as other:
        assert mine
        assert not other
    with claim(folder) as mine:
        assert mine
