"""What only Ubuntu's plans say; `test_plans.py` shows them whole."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import SystemContract, made_with, template
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Install, Template
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.systems.ubuntu import Ubuntu

URL = "http://mirror.example.org/ubuntu"


class TestUbuntu(SystemContract):
    template: ClassVar[Template] = template(name="Ubuntu", version="24.04")
    wrong_parameters: ClassVar = {"boot_test": "perhaps", "firmware": "openboot", "network": []}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Ubuntu(made_with(tmp_path))


def test_security_updates_come_from_the_same_archive(tmp_path: Path) -> None:
    wanted = installed_from(Install(type="url", url=URL))
    resolve = Ubuntu(made_with(tmp_path)).plan_base(wanted, Parameters())[0]
    assert isinstance(resolve, ResolveApt)
    releases = [source.release for source in resolve.archive.sources]
    assert releases == [f"{URL}/dists/noble{suffix}" for suffix in ("", "-updates", "-security")]
    assert resolve.archive.guest_keyring == "/usr/share/keyrings/ubuntu-archive-keyring.gpg"


def installed_from(install: Install) -> Template:
    return replace(TestUbuntu.template, os=replace(TestUbuntu.template.os, install=install))
