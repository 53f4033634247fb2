"""Plans are values; one place runs them and knows how far they are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from imagefactory.core.errors import Cancelled
from imagefactory.core.secret import Secret
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.plan import Build, Step, execute, show


@dataclass(frozen=True, kw_only=True)
class Say(Step):
    weight: ClassVar[int] = 10
    word: str
    password: Secret | None = None

    @property
    def activity(self) -> str:
        return f"Saying {self.word}"

    def run(self, build: Build) -> None:
        build.report(50, f"Half of {self.word}")
        build.note(**{self.word: True})


def make_build(folder: Path, told: list[tuple[int, str | None]], tools: Tools) -> Build:
    def report(percent: int, activity: str | None = None) -> None:
        told.append((percent, activity))

    return Build(
        id="b",
        state=folder,
        scratch=folder / "scratch",
        cache=folder / "cache",
        artifacts=folder / "artifacts",
        tools=tools,
        report=report,
    )


def at_once(_name: str, action: Callable[[], None]) -> None:
    action()


def test_steps_are_equal_by_value_and_so_are_their_keys() -> None:
    assert Say(word="a") == Say(word="a")
    assert Say(word="a").key == Say(word="a").key
    assert Say(word="a").key != Say(word="b").key
    assert Say(word="a", password=Secret("x")).key != Say(word="a", password=Secret("y")).key


def test_a_shown_plan_has_no_secret() -> None:
    text = show((Say(word="a", password=Secret("hunter2")),))
    assert text == "Say(word='a', password=Secret('REDACTED'))\n"


def test_progress_is_scaled_to_each_steps_share(tmp_path: Path) -> None:
    told: list[tuple[int, str | None]] = []
    build = make_build(tmp_path, told, Tools())
    execute((Say(word="a"), Say(word="b")), build, record=at_once)
    assert told == [
        (0, "Saying a"),
        (25, "Half of a"),
        (50, "Saying b"),
        (75, "Half of b"),
    ]
    assert build.notes() == {"a": True, "b": True}


def test_a_recorded_step_is_not_run_again(tmp_path: Path) -> None:
    told: list[tuple[int, str | None]] = []
    finished = {"00-Say"}

    def record(name: str, action: Callable[[], None]) -> None:
        if name not in finished:
            action()

    execute((Say(word="a"), Say(word="b")), make_build(tmp_path, told, Tools()), record=record)
    assert [activity for _, activity in told] == ["Saying b", "Half of b"]


def test_a_cancelled_plan_does_not_begin_its_next_step(tmp_path: Path) -> None:
    cancellation = Cancellation()
    told: list[tuple[int, str | None]] = []
    build = make_build(tmp_path, told, Tools(cancellation=cancellation))
    cancellation.request()
    with pytest.raises(Cancelled):
        execute((Say(word="a"),), build, record=at_once)
    assert told == []
