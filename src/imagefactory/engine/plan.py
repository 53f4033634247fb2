"""A plan is data, a tuple of frozen steps; `execute` is the one place where steps run."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from pprint import pformat
from typing import Any, ClassVar, Final, Protocol

from imagefactory.core.errors import BuildError
from imagefactory.core.secret import Secret
from imagefactory.engine.command import Tools
from imagefactory.engine.files import write_atomically


class Report(Protocol):
    """The only channel for progress: percent of the whole, and a line for people."""

    def __call__(self, percent: int, activity: str | None = None) -> None: ...


#: in the scratch folder: when the oldest was fetched of all that came from the network, outside of the lock
AS_OF: Final = "as-of"


@dataclass(frozen=True, kw_only=True)
class Other:
    """Another finished image that a build uses."""

    body: Path
    password: Secret | None  #: root's


def _nobody(image_id: str) -> Other:
    msg = f'There is no image "{image_id}"'
    raise BuildError(msg)


@dataclass(frozen=True, kw_only=True)
class Build:
    """All that a step may touch. Every path lies below `state`.

    What one step hands to the next lies in `scratch` as a file of a known type, written whole or not
    at all, so that a build can be resumed after any step by another process.
    """

    id: str  #: the image's
    state: Path  #: the factory's folder; sandboxes name everything relative to it
    scratch: Path  #: this build's own folder; removed when the build has settled
    cache: Path  #: shared by all builds: package files, indexes, layers
    artifacts: Path  #: what stays beside the body: log, lock, bill of materials, boot reports
    tools: Tools
    report: Report
    source: Path | None = None  #: the body of the image that this one is made from
    other: Callable[[str], Other] = _nobody  #: an image by its id; `BuildError` when there is none
    mirrors: Mapping[str, str] = field(default_factory=dict)  #: URL prefix -> used instead
    keyrings: Mapping[str, str] = field(default_factory=dict)  #: URL prefix -> keyring file
    snapshots: tuple[str, ...] = ()  #: URL prefixes of archives whose indexes may have expired
    reuse: bool = True  #: whether what other builds have made is taken
    cleanup: ExitStack = field(default_factory=ExitStack)

    @property
    def disk(self) -> Path:
        """What becomes the image's body; sparse."""
        return self.scratch / "disk"

    def note(self, **facts: Any) -> None:
        """Remember facts about the image, shown as its `properties`."""
        write_atomically(self._notes, json.dumps({**self.notes(), **facts}, sort_keys=True))

    def notes(self) -> dict[str, Any]:
        """All facts noted so far, those before a restart included."""
        if not self._notes.exists():
            return {}
        notes: dict[str, Any] = json.loads(self._notes.read_text())
        return notes

    @property
    def _notes(self) -> Path:
        return self.scratch / "notes.json"


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One recorded step of a build: frozen, equal by value, safe to run again after a crash."""

    weight: ClassVar[int] = 1  #: its share of the whole, in rough seconds
    writes: ClassVar[bool] = True  #: whether it may change the disk, once there is one
    judges: ClassVar[bool] = False  #: whether it only looks at the disk that the others have made

    @property
    @abstractmethod
    def activity(self) -> str:
        """What a person is told while the step runs."""

    @abstractmethod
    def run(self, build: Build) -> None:
        """Do it. Raises a `FactoryError`; anything else is a bug."""

    def lasts(self) -> float | None:
        """For how many seconds what it does is good for other builds too; None is for ever."""
        return None

    @property
    def key(self) -> str:
        """A SHA-256 of all that the step was told to do."""
        return hashlib.sha256(json.dumps(_plain(self), sort_keys=True).encode()).hexdigest()


Plan = tuple[Step, ...]


def names(plan: Plan) -> list[str]:
    """What the steps of a plan are recorded as."""
    return [f"{number:02d}-{type(step).__name__}" for number, step in enumerate(plan)]


def execute(plan: Plan, build: Build, *, record: Callable[[str, Callable[[], None]], None]) -> None:
    """Run a plan. `record(name, action)` runs an action unless an earlier life of this build has."""
    whole = sum(step.weight for step in plan) or 1
    done = 0
    for name, step in zip(names(plan), plan, strict=True):
        start, share = 100 * done // whole, 100 * step.weight // whole

        def action(step: Step = step, start: int = start, share: int = share) -> None:
            build.tools.cancellation.check()
            build.report(start, step.activity)
            step.run(_within(build, start, share))

        record(name, action)
        done += step.weight


def _within(build: Build, start: int, share: int) -> Build:
    """The same build, whose report maps a step's own 0..100 into its share of the whole."""

    def report(percent: int, activity: str | None = None) -> None:
        build.report(start + share * max(0, min(percent, 100)) // 100, activity)

    return Build(**{**{f.name: getattr(build, f.name) for f in fields(build)}, "report": report})


def show(plan: Plan) -> str:
    """A plan as text for people and golden files; secrets are not shown."""
    return "".join(f"{pformat(step, width=100)}\n" for step in plan)


def _plain(value: object) -> object:
    match value:
        case Secret():
            return hashlib.sha256(value.reveal().encode()).hexdigest()
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case _ if is_dataclass(value):
            content = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
            return {"": type(value).__name__, **content}
        case _:
            return str(value)
