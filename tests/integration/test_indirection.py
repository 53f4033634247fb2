"""A real utility image is booted, and makes a target image of a base image."""

import os
from pathlib import Path
from typing import Any

import pytest

from fakes.patience import settled
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import BuildError
from imagefactory.core.images import Image, Status
from imagefactory.engine.command import Tools
from imagefactory.engine.disk import workspace

MIB = 1 << 20
TEMPLATE = """
<template>
  <name>utility</name>
  <os>
    <name>Debian</name><version>12</version><arch>x86_64</arch>
    <install type="url"><url>http://mirror.example.org/debian</url></install>
    <rootpw>open sesame</rootpw>
  </os>
  <disk><size>3 GiB</size></disk>
</template>
"""
TASKS = """
<template>
  <files><file name="/root/make">
#!/bin/sh
set -eu
mkdir -p /mnt/results/images
dd if="$1" of=/mnt/results/images/boot.iso bs=1M count=64 conv=sparse status=none
echo "made of $1"
  </file></files>
  <commands>
    <command name="mount">mount /dev/vdb1 /mnt</command>
    <command name="make">sh /root/make @INPUT@</command>
  </commands>
</template>
"""


def test_files_go_into_a_working_space_and_come_out(tmp_path: Path) -> None:
    content, disk, data = tmp_path / "files", tmp_path / "disk", os.urandom(3 * MIB)
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.write(data)
        file.truncate(2 << 30)
    content.mkdir()
    workspace.put(source, content, "/a/b")
    workspace.make(disk, size=30 << 30, content=content, tools=Tools())
    assert disk.stat().st_size == 30 << 30
    assert disk.stat().st_blocks * 512 < 64 * MIB
    workspace.take(disk, "a/b", target)
    assert target.stat().st_size == 2 << 30
    assert target.stat().st_blocks * 512 < 8 * MIB
    with target.open("rb") as file:
        assert file.read(3 * MIB) == data
    for name in ("/a", "/c"):
        with pytest.raises(BuildError, match=f'has left no file "{name}"'):
            workspace.take(disk, name, target)


def made(factory: Factory, base: Image, **parameters: Any) -> Image:
    asked = factory.create_target_image(
        target="indirection",
        base_image_id=base.id,
        parameters={"network": False, **parameters},
    )
    return settled(factory, asked.id)


def a_base(factory: Factory) -> Image:
    asked = factory.create_base_image(template=TEMPLATE, parameters={"boot_test": False})
    base = settled(factory, asked.id)
    assert base.status is Status.COMPLETE, base.error
    return base


def beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64 * MIB)


def test_a_utility_image_makes_something_of_a_file(config: Config) -> None:
    with open_factory(config, in_process=True) as factory:
        base = a_base(factory)
        tasks = TASKS.replace("@INPUT@", "/mnt/input_image.raw")
        image = made(factory, base, utility_image=base.id, utility_customizations=tasks)
        assert image.status is Status.COMPLETE, image.error
        body = factory.body(image.id)
        assert body.stat().st_size == 64 * MIB
        assert body.read_bytes() == beginning(factory.body(base.id))
        assert b"made of /mnt/input_image.raw" in factory.log(image.id)
        assert "utility.log" in {artifact.name for artifact in factory.artifacts(image.id)}
    assert not list(config.scratch.iterdir())


@pytest.mark.slow
def test_the_input_may_be_a_disk_and_is_not_changed(config: Config) -> None:
    with open_factory(config, in_process=True) as factory:
        base = a_base(factory)
        before = beginning(factory.body(base.id))
        tasks = TASKS.replace("@INPUT@", "/dev/vdc; dd if=/dev/zero of=/dev/vdc bs=1M count=1")
        image = made(factory, base, input_image_device="vdc", utility_customizations=tasks)
        assert image.status is Status.COMPLETE, image.error
        assert factory.body(image.id).read_bytes() == before
        assert beginning(factory.body(base.id)) == before


@pytest.mark.slow
def test_a_task_that_fails_is_told(config: Config) -> None:
    tasks = "<template><commands><command name='no'>echo sorry; exit 7</command>"
    tasks += "<command name='later'>true</command></commands></template>"
    with open_factory(config, in_process=True) as factory:
        image = made(factory, a_base(factory), utility_customizations=tasks)
    assert image.status is Status.FAILED
    assert image.error is not None
    assert 'the command "no" failed with exit status 7: sorry' in str(image.error)
