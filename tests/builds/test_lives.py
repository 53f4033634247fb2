"""What becomes of an image whose workers are killed, with the real durable engine."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from fakes import worker_process
from fakes.patience import until
from fakes.plugins import a_template, fake_registry, pushed_to, ran
from imagefactory.builds.factory import Factory
from imagefactory.builds.making import LIVES
from imagefactory.builds.scratch import Scratch
from imagefactory.builds.workshop import Workshop, executors
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError
from imagefactory.core.images import Image, Status
from imagefactory.core.secret import Secret


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state=tmp_path / "state", max_concurrent_local_sessions=2)


@pytest.fixture
def factory(config: Config) -> Iterator[Factory]:
    """A factory whose jobs wait for worker processes."""
    with Workshop.open(config, plugins=fake_registry(config)) as workshop:
        yield Factory(workshop=workshop)


def base_image(factory: Factory, **parameters: Any) -> str:
    return factory.create_base_image(template=a_template(), parameters=parameters).id


def settled(factory: Factory, image_id: str) -> Image:
    """An image, once it is settled."""
    until(lambda: _get(factory, image_id).settled)
    return _get(factory, image_id)


def _get(factory: Factory, image_id: str) -> Image:
    image = factory.find(image_id)
    assert image is not None
    return image


def lives_until_settled(factory: Factory, image_id: str) -> int:
    """How many worker processes it took, each started when the last was dead."""
    lives = 0
    while not _get(factory, image_id).settled:
        with worker_process.at_work(factory.workshop.config) as process:
            lives += 1
            until(lambda p=process: not p.is_alive() or _get(factory, image_id).settled)  # type: ignore[misc]
    return lives


def test_a_worker_killed_in_each_step_goes_on_after_the_last_finished_one(factory: Factory) -> None:
    image_id = base_image(factory, step0="die", step1="die", step2="die")
    assert lives_until_settled(factory, image_id) == 4
    image = _get(factory, image_id)
    assert (image.status, image.error) == (Status.COMPLETE, None)
    assert factory.body(image_id).read_text() == f"disk of {image_id}, after step 2"
    times = Counter(
        line.removeprefix(f"{image_id} ") for line in ran(factory.workshop.config.state)
    )
    assert times == {f"{step} {what}": 2 if what == "began" else 1
                     for step in range(3) for what in ("began", "ended")}  # fmt: skip
    assert not list(factory.workshop.config.scratch.iterdir())


def test_an_image_that_kills_every_worker_is_given_up(factory: Factory) -> None:
    config = factory.workshop.config
    image_id = base_image(factory, step0="always die")
    scratch = Scratch(state=config.state, folder=config.scratch / image_id)
    scratch.prepare()
    earlier = [scratch.begin_life() for _ in range(LIVES - 1)]
    assert earlier[-1] == LIVES - 1
    assert lives_until_settled(factory, image_id) == 2
    image = _get(factory, image_id)
    assert image.status is Status.FAILED
    assert str(image.error).startswith(
        f'The build of "{image_id}" has brought the worker down {LIVES} times. '
    )


def test_a_push_that_was_killed_is_found_and_not_made_twice(factory: Factory) -> None:
    image = factory.create_provider_image(
        provider="deadly", credentials=Secret("right"), target="fake", template=a_template()
    )
    assert lives_until_settled(factory, image.id) == 2
    assert _get(factory, image.id).status is Status.COMPLETE
    assert list(pushed_to(factory.workshop.config.state / "deadly").values()) == [image.id]


def test_builds_survive_a_stop_in_good_order_any_number_of_times(factory: Factory) -> None:
    image_id = base_image(factory, step1="wait")
    pid_file = factory.workshop.config.state / f"pid-{image_id}"
    for _ in range(2):
        with worker_process.at_work(factory.workshop.config):
            until(pid_file.exists)
        assert _get(factory, image_id).status is Status.BUILDING
        pid_file.unlink()
    notes = Counter(ran(factory.workshop.config.state))
    assert notes[f"{image_id} 0 ended"] == 1
    assert notes[f"{image_id} 1 began"] == 2


def test_another_worker_takes_over_from_a_dead_one(factory: Factory) -> None:
    config = factory.workshop.config
    image_id = base_image(factory, step1="wait")
    pid_file = config.state / f"pid-{image_id}"
    first = worker_process.start(config, executor="first")
    until(pid_file.exists)
    _kill(first)
    pid_file.unlink()
    with worker_process.at_work(config, executor="second"):
        until(pid_file.exists)
        factory.cancel(image_id)
        assert settled(factory, image_id).error == "The build was cancelled"
    assert Counter(ran(config.state))[f"{image_id} 0 ended"] == 1


def test_two_workers_share_the_images_of_one_store(factory: Factory) -> None:
    config = factory.workshop.config
    with (
        worker_process.at_work(config, executor="one"),
        worker_process.at_work(config, executor="two"),
    ):
        ids = [
            factory.create_provider_image(
                provider="account",
                credentials=Secret("right"),
                target="fake",
                template=a_template(),
            ).id
            for _ in range(6)
        ]
        assert {settled(factory, image_id).status for image_id in ids} == {Status.COMPLETE}
    assert max(Counter(ran(config.state)).values()) == 1


def test_a_cascade_is_quick(factory: Factory) -> None:
    def seconds() -> float:
        began = time.monotonic()
        image = factory.create_provider_image(
            provider="account", credentials=Secret("right"), target="fake", template=a_template()
        )
        until(lambda: _get(factory, image.id).settled)
        return time.monotonic() - began

    with worker_process.at_work(factory.workshop.config):
        assert min(seconds() for _ in range(4)) < 1  # the others may have met a busy machine


def test_two_workers_of_one_name_are_refused(config: Config) -> None:
    with executors(config).live("local", patience=0):
        with pytest.raises(ConfigError) as refused, executors(config).live("local", patience=0):
            pass
        assert str(refused.value) == f'A worker named "local" already runs on "{config.state}"'


def _kill(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
