"""What every push is held to when something goes wrong: one good image in the end, or none.

A cloud's test inherits `FaultContract` and says how a login goes through a proxy. What is injected at
each request, one after the other, is a `Fault`; the steps are those of a build, `planner.Push`.
"""

import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import ClassVar, Final, Generic, TypeVar

import pytest

from contract import TOKEN, template
from fakes.build import a_build
from fakes.faulty import Call, Fault, Faulty, faulty_line
from imagefactory.builds.planner import Push, pushed_by
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.plugins.contract import Cloud, Pushed
from imagefactory.plugins.retry import Retry

LoginT = TypeVar("LoginT")

#: faults that pass: a push outlasts them
PASSING: Final = (
    Fault.REFUSED,
    Fault.UNAVAILABLE,
    Fault.THROTTLED,
    Fault.RESET,
    Fault.TRUNCATED,
)
_LONG: Final = 1 << 16  # bytes of a request that is an upload
_MOST: Final = 100  # requests of one push
_LIFE: Final = 180.0  # seconds of a killed worker; beside busy neighbours it takes long to start
_CONTEXT: Final = multiprocessing.get_context("forkserver")


class Clock:
    """A clock that moves when somebody waits, and tells the proxy."""

    def __init__(self, paused: Callable[[], None]) -> None:
        self.now = 0.0
        self._paused = paused

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._paused()


class FaultContract(ABC, Generic[LoginT]):
    """A cloud's test inherits this beside `PushContract`, where there is a server to push to."""

    #: 1 tries faults at each request; 4, say, at every fourth, each fault at others. Lost answers and
    #: ends are tried at all requests that change something: there most can be made wrong
    stride: ClassVar[int] = 1

    @pytest.fixture
    @abstractmethod
    def cloud(self, tmp_path: Path) -> Cloud[LoginT]:
        """The plugin; its child processes get a copy."""

    @pytest.fixture
    @abstractmethod
    def through(self, cloud: Cloud[LoginT], faulty: Faulty) -> LoginT:
        """A login that works, and reaches all servers through `faulty.front(url)`."""

    @abstractmethod
    def things(self, login: LoginT) -> Collection[str]:
        """Names of all that lies at the provider, asked there and not of the plugin."""

    @abstractmethod
    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        """Whether the image at the provider is usable, and holds what the disk holds."""

    @pytest.fixture
    def faulty(self) -> Iterator[Faulty]:
        """What stands between the plugin and its servers."""
        with faulty_line() as line:
            yield line

    @pytest.fixture(autouse=True)
    def quick(self, faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
        """No test waits for the back-off."""
        clock, defaults = Clock(faulty.pause), Retry.__init__.__kwdefaults__
        assert defaults is not None
        for name, value in (("clock", clock), ("sleep", clock.sleep)):
            monkeypatch.setitem(defaults, name, value)

    def form(self, raw: Path, folder: Path) -> Path:  # noqa: ARG002
        """A raw disk in the form that the cloud takes; the folder is for a new file."""
        return raw

    @pytest.fixture
    def small(self, tmp_path: Path) -> Path:
        """A disk that is pushed in some pieces, with a hole."""
        path = tmp_path / "small.body"
        with path.open("wb") as file:
            file.truncate(12 << 20)
            file.write(b"\xeb\x63\x90" + os.urandom(1 << 20))
            file.seek(9 << 20)
            file.write(os.urandom(1 << 20))
        return self.form(path, tmp_path)

    @pytest.fixture
    def image(self) -> ProviderImage:
        """What is to be pushed."""
        text = template().text
        return ProviderImage(id=TOKEN, name="web-server", provider="p", target="t", template=text)

    @pytest.fixture
    def push(
        self,
        tmp_path: Path,
        cloud: Cloud[LoginT],
        image: ProviderImage,
        through: LoginT,
        small: Path,
    ) -> "Life":
        """The step of a build that pushes the disk."""
        return Life(Push(image=image, cloud=cloud, login=through), tmp_path, small)

    @pytest.mark.parametrize("fault", PASSING)
    def test_a_fault_that_passes_is_outlasted(
        self, through: LoginT, faulty: Faulty, push: "Life", fault: Fault
    ) -> None:
        before = sorted(self.things(through))
        for call in self.requests(faulty, push, fault):
            faulty.arm(fault, at=call.number)
            pushed = push()
            faulty.arm(None)
            self.expect_one(pushed, push, through, before, call)

    @pytest.mark.parametrize("fault", [Fault.DAMAGED, Fault.ABSENT, Fault.DEAD])
    def test_a_fault_that_stays_leaves_one_image_or_none(
        self, through: LoginT, faulty: Faulty, push: "Life", fault: Fault
    ) -> None:
        before = sorted(self.things(through))
        for call in self.requests(faulty, push, fault):
            faulty.arm(fault, at=call.number)
            try:
                pushed = push()
            except CloudError as error:
                assert_told(error)
                faulty.arm(None)
                if fault is not Fault.DEAD:
                    assert sorted(self.things(through)) == before, call
                pushed = push()
            faulty.arm(None)
            self.expect_one(pushed, push, through, before, call)

    @pytest.mark.parametrize("fault", [Fault.KILLED, Fault.KILLED_SENDING])
    def test_a_worker_that_dies_is_followed_by_one_that_finishes(
        self, through: LoginT, faulty: Faulty, push: "Life", fault: Fault
    ) -> None:
        before = sorted(self.things(through))
        for call in self.requests(faulty, push, fault):
            push.killed_at(call, faulty, fault)
            faulty.arm(None)
            self.expect_one(push(), push, through, before, call)

    def test_a_delete_outlasts_a_fault_at_each_of_its_requests(
        self, through: LoginT, faulty: Faulty, push: "Life"
    ) -> None:
        before = sorted(self.things(through))
        number = made = 1
        while number <= made < _MOST:
            faulty.arm(None)
            identifier = push().identifier
            faulty.arm(Fault.RESET, at=number)
            push.step.cloud.delete(identifier, through)
            made = len(faulty.calls) - 1  # the one that was asked again aside
            assert sorted(self.things(through)) == before, faulty.calls
            number += 1

    def requests(self, faulty: Faulty, push: "Life", fault: Fault) -> list[Call]:
        """The requests of a push at which this is to go wrong."""
        faulty.arm(None)
        pushed = push()
        calls = list(faulty.calls)
        push.step.cloud.delete(pushed.identifier, push.step.login)
        assert 0 < len(calls) < _MOST
        match fault:
            case Fault.DAMAGED | Fault.KILLED_SENDING:
                return [call for call in calls if call.length > _LONG]
            case Fault.RESET | Fault.KILLED | Fault.DEAD:
                return [call for call in calls if call.method not in {"GET", "HEAD"}]
            case Fault.ABSENT:  # to whoever deletes a thing, its absence is no fault
                return [call for call in calls if call.method != "DELETE"][:: self.stride]
            case _:
                return calls[list(Fault).index(fault) % self.stride :: self.stride]

    def expect_one(
        self, pushed: Pushed, push: "Life", login: LoginT, before: Collection[str], call: Call
    ) -> None:
        """There is one good image, it is this one, nothing lies beside it; then it is deleted."""
        assert self.is_good(pushed, push.disk), call
        there = sorted(self.things(login))
        assert len(there) > len(before)
        assert push() == pushed, call
        assert sorted(self.things(login)) == there, call
        push.step.cloud.delete(pushed.identifier, login)
        assert sorted(self.things(login)) == before, call


def assert_told(error: CloudError) -> None:
    """A sentence such as the status of a failed image shows."""
    assert error.brief
    first = error.brief.partition(" ")[0]
    assert first != first.lower()  # a capital begins it, or a name such as vSphere
    assert not error.brief.endswith(".")
    assert "Traceback" not in error.brief


class Life:
    """One life of a build that pushes."""

    def __init__(self, step: Push, folder: Path, disk: Path) -> None:
        self.step = step
        self.disk = disk
        self._folder = folder

    def __call__(self) -> Pushed:
        build = a_build(self._folder, source=self.disk)
        self.step.run(build)
        return pushed_by(build)

    def killed_at(self, call: Call, faulty: Faulty, fault: Fault) -> None:
        """Push in a process of its own, which the proxy kills at this request."""
        self.killed_by(lambda kill: faulty.arm(fault, at=call.number, kill=kill))
        assert len(faulty.calls) >= call.number  # more where some are under way at once

    def killed_by(self, arm: Callable[[Callable[[], None]], None]) -> None:
        """Push in a process of its own, which is killed by what `arm` was given."""
        process = _CONTEXT.Process(target=self.__call__, daemon=True)
        arm(process.kill)
        process.start()
        process.join(_LIFE)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
