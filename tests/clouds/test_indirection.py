"""What a utility image is to do is read and planned without booting anything."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from contract import TOKEN, made_with, template
from imagefactory.clouds.indirection import Indirection
from imagefactory.core.errors import RequestError, TemplateError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.boot.utility import RunUtility
from imagefactory.engine.plan import show

TASKS = """
<template>
 <commands>
   <command name='mount'>mount /dev/vdb1 /mnt</command>
   <command name='livecd'>livemedia-creator --make-iso --disk-image /mnt/input_image.raw
     --resultdir /mnt/results</command>
 </commands>
</template>
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Indirection:
    return Indirection(made_with(tmp_path))


def planned(cloud: Indirection, **given: object) -> RunUtility:
    """The step of a target image with these parameters."""
    [step] = cloud.plan_target(template(), Parameters(given))
    assert isinstance(step, RunUtility)
    return step


def test_what_koji_sends_is_understood(cloud: Indirection) -> None:
    given = {
        "utility_image": TOKEN,
        "utility_customizations": TASKS,
        "results_location": "/results/images/boot.iso",
    }
    step = planned(cloud, **given)
    assert step == planned(cloud, **given)
    assert step.tasks is not None
    assert [command.name for command in step.tasks.commands] == ["mount", "livecd"]
    assert (step.utility, step.input_file) == (TOKEN, "/input_image.raw")
    assert step.results == "/results/images/boot.iso"


def test_the_input_is_its_own_utility_image_with_its_own_password(cloud: Indirection) -> None:
    step = planned(cloud)
    assert (step.utility, step.password) == (None, Secret("not-to-be-shown"))
    assert "not-to-be-shown" not in show((step,))
    assert planned(cloud, utility_image=TOKEN).password is None


def test_the_input_may_be_a_disk(cloud: Indirection) -> None:
    given = {"input_image_device": "vdc", "working_space_device": "/dev/vdb", "utility_cpus": "2"}
    step = planned(cloud, **given)
    assert (step.input_file, step.processors, step.memory) == (None, 2, 2 << 30)


def test_what_is_not_put_into_a_guest_is_ignored(cloud: Indirection) -> None:
    text = (
        "<template><name>x</name><os><name>Fedora</name></os><description>d</description>"
        "<packages><package name='lorax'/></packages><files><file name='/a'>b</file></files>"
        "</template>"
    )
    tasks = planned(cloud, utility_customizations=text).tasks
    assert tasks is not None
    assert [package.name for package in tasks.packages] == ["lorax"]
    assert [file.name for file in tasks.files] == ["/a"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_image_device": "vdc", "input_image_filename": "/a"}, "exclude each other"),
        ({"input_image_device": "sda"}, '"input_image_device" is "sda"'),
        ({"working_space_device": "vdc"}, '"working_space_device" is "vdc"'),
        ({"utility_cpus": 0}, '"utility_cpus" is "0", which is not 1 or more'),
        ({"utility_cpus": "many"}, '"utility_cpus" is "many"'),
        ({"results_location": "/results/../../etc/passwd"}, "is not the path of a file"),
        ({"input_image_filename": "/a/"}, "is not the path of a file"),
        ({"utility_firmware": "efi"}, '"utility_firmware" is "efi"'),
    ],
)
def test_what_cannot_be_done_is_the_clients_error(
    cloud: Indirection, given: Mapping[str, object], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        planned(cloud, **given)


@pytest.mark.parametrize(
    "text", ["words", "<template", "<template><commands><command/></commands></template>"]
)
def test_broken_tasks_are_the_clients_error(cloud: Indirection, text: str) -> None:
    with pytest.raises(TemplateError):
        planned(cloud, utility_customizations=text)
