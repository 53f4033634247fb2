"""Each mistake ends in FAILED with one sentence, a clean machine, and a factory that goes on."""

import re
from dataclasses import replace

import pytest

from fakes.leaks import Host, processes_in
from fakes.patience import settled
from imagefactory.builds.factory import open_factory
from imagefactory.core.config import Config
from imagefactory.core.images import Image, Status
from integration.test_main_job import filled

MISTAKES = {
    "package": ({"PACKAGE": "treee"}, r'^The package "treee" .*tree'),
    "command": (
        {"COMMAND": "echo first; echo the reason &gt;&amp;2; exit 3"},
        r'^The command "leave-a-mark" failed with exit status 3: .*the reason',
    ),
    "disk": ({"SIZE": "300 MiB"}, r"(?i)disk.* needs? at least|needed"),
    "release": ({"VERSION": "4"}, r'^No plugin builds the system "Debian'),
    "element": ({"COMMAND": "true</command><comand name='x'>"}, r"line|Line"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_sentence(config: Config, template: str, name: str) -> None:
    values, sentence = MISTAKES[name]
    before = Host.now()
    image = built(config, filled(template, **values))
    assert image.status is Status.FAILED
    assert image.error is not None
    assert re.search(sentence, image.error), image.error
    assert "Traceback" not in image.error
    assert Host.now() == before
    assert processes_in(config.state) == []
    assert not list(config.scratch.iterdir())


def test_the_same_factory_builds_the_next_image(config: Config, template: str) -> None:
    with open_factory(config, in_process=True) as factory:
        bad, good = (
            factory.create_base_image(template=text, parameters={"boot_test": False})
            for text in (filled(template, COMMAND="false"), filled(template))
        )
        assert settled(factory, bad.id).status is Status.FAILED
        assert settled(factory, good.id).status is Status.COMPLETE


def test_a_mirror_that_cannot_be_reached_is_named(config: Config, template: str) -> None:
    nowhere = dict.fromkeys(config.mirrors, "http://127.0.0.1:9/debian")
    image = built(replace(config, mirrors=nowhere), filled(template))
    assert image.status is Status.FAILED
    assert image.error is not None
    assert "http://127.0.0.1:9/debian" in image.error


def built(config: Config, template: str) -> Image:
    """What becomes of a base image, seen when its factory has closed."""
    with open_factory(config, in_process=True) as factory:
        asked = factory.create_base_image(template=template, parameters={"boot_test": False})
        return settled(factory, asked.id)
