"""A factory that does its own jobs, as the command line has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.patience import until
from fakes.plugins import a_template, fake_registry
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.builds.worker import working_here
from imagefactory.builds.workshop import Workshop
from imagefactory.core.config import Config
from imagefactory.core.images import BaseImage, ProviderImage, Status, TargetImage
from imagefactory.core.secret import Secret

MOCK = a_template(system="MockOS_A")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state=tmp_path / "state")


@contextmanager
def with_fakes(config: Config) -> Iterator[Factory]:
    """Like `open_factory` in this process, with the fake plugins."""
    with (
        Workshop.open(config, private_to="cli", plugins=fake_registry(config)) as workshop,
        working_here(workshop, "cli"),
    ):
        yield Factory(workshop=workshop)


def test_a_cascade_of_the_installed_mocks_needs_no_other_process(config: Config) -> None:
    with open_factory(config, in_process=True) as factory:
        image = factory.create_provider_image(
            provider="any", credentials=Secret("any"), target="mock", template=MOCK
        )
        until(lambda: factory.image(ProviderImage, image.id).settled)
        done = factory.image(ProviderImage, image.id)
        assert (done.status, done.error) == (Status.COMPLETE, None)
        target = factory.body(str(done.target_image_id)).read_text()
        assert target == f"MockOS target_image file for id ({done.target_image_id})"
        factory.delete(image.id)
        until(lambda: factory.find(image.id) is None)
    assert not list((config.state / "executors").iterdir())


def test_a_target_that_is_its_base_and_nothing_else_is_the_same_file(config: Config) -> None:
    with open_factory(config, in_process=True) as factory:
        image = factory.create_target_image(target="local", template=MOCK)
        until(lambda: factory.image(TargetImage, image.id).settled)
        base = str(factory.image(TargetImage, image.id).base_image_id)
        assert factory.body(image.id).samefile(factory.body(base))
        known = factory.workshop.store.body(image.id)
        assert known is not None
        assert known == factory.workshop.store.body(base)
        factory.delete(base)
        until(lambda: factory.find(base) is None)
        assert factory.workshop.bodies.measure(image.id) == known


def test_what_is_not_done_at_the_end_is_cancelled(config: Config) -> None:
    with with_fakes(config) as factory:
        image = factory.create_base_image(template=a_template(), parameters={"step0": "wait"})
        until((config.state / f"pid-{image.id}").exists)
    with open_factory(config) as factory:
        failed = factory.image(BaseImage, image.id)
        assert (failed.status, failed.error) == (Status.FAILED, "The build was cancelled")
    assert not list(config.scratch.iterdir())


def test_it_leaves_the_work_of_others_alone(config: Config) -> None:
    with Workshop.open(config, plugins=fake_registry(config)) as workshop:
        theirs = Factory(workshop=workshop).create_base_image(template=a_template())
        with with_fakes(config) as factory:
            ours = factory.create_base_image(template=a_template())
            until(lambda: factory.image(BaseImage, ours.id).status is Status.COMPLETE)
        assert factory.image(BaseImage, theirs.id).status is Status.NEW
