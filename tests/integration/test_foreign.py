"""A system for another processor: built here, and booted on a machine that has one."""

import json
from pathlib import Path
from typing import Final

import pytest

from fakes.patience import settled
from imagefactory.builds.factory import open_factory
from imagefactory.core.config import Config
from imagefactory.core.images import Status
from imagefactory.core.secret import Secret
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.boot import boot
from imagefactory.engine.boot.request import Boot, Login
from imagefactory.engine.command import Tools

TEMPLATE: Final = """
<template>
  <name>foreign</name>
  <os>
    <name>Debian</name><version>12</version><arch>aarch64</arch>
    <install type="url"><url>http://mirror.example.org/debian</url></install>
    <rootpw>open sesame</rootpw>
  </os>
  <commands><command name="here">uname -m > /etc/built-on</command></commands>
  <disk><size>3 GiB</size></disk>
</template>
"""
COMMANDS: Final = (
    "uname -m; cat /etc/built-on; dpkg --print-architecture",
    "dpkg --audit; systemctl --failed --no-legend --plain",
    "systemctl is-system-running --wait",
)


@pytest.mark.slow
@pytest.mark.timeout(4500)
@pytest.mark.integration
def test_a_system_for_arm_is_built_and_comes_up(config: Config, tmp_path: Path) -> None:
    with open_factory(config, in_process=True) as factory:
        asked = factory.create_base_image(template=TEMPLATE, parameters={"boot_test": False})
        image = settled(factory, asked.id, seconds=2400)
        assert image.status is Status.COMPLETE, image.error
        body = factory.body(image.id)
    tools, log = Tools(), tmp_path / "console.log"
    wanted = Boot(
        disk=body,
        firmware="uefi",
        timeout=1500,
        size=4 << 30,
        login=Login(password=Secret("open sesame")),
        run=COMMANDS,
        switch_off=True,
        log=log,
    )
    emulator = find_emulator(tools, cache=config.cache, arch="aarch64")
    report = boot(wanted, tools=tools, emulator=emulator, scratch=config.state)
    whose, wrong, state = (result.output.split() for result in report.commands)
    assert whose == ["aarch64", "aarch64", "arm64"]
    assert wrong == []
    assert state == ["running"]
    assert report.login is not None, json.dumps(report.facts())
