"""What only the plans of openSUSE say; `test_plans.py` shows them whole."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import SystemContract, made_with, template
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Install, Template
from imagefactory.engine.packages.dnf import ResolveRpm
from imagefactory.systems.suse import Suse

ROOT = "http://mirror.example.org"


class TestSuse(SystemContract):
    template: ClassVar[Template] = template(name="openSUSE", version="15.6")
    wrong_parameters: ClassVar = {"boot_test": "perhaps", "firmware": "openboot", "network": []}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Suse(made_with(tmp_path))


def installed_from(install: Install) -> Template:
    return replace(TestSuse.template, os=replace(TestSuse.template.os, install=install))


def test_updates_lie_beside_the_release(tmp_path: Path) -> None:
    wanted = installed_from(Install(type="url", url=f"{ROOT}/distribution/leap/15.6/repo/oss/"))
    resolve = Suse(made_with(tmp_path)).plan_base(wanted, Parameters())[0]
    assert isinstance(resolve, ResolveRpm)
    assert resolve.manager == "zypper"
    assert [source.url for source in resolve.distribution.sources] == [
        f"{ROOT}/distribution/leap/15.6/repo/oss",
        *(f"{ROOT}/update/leap/15.6/{part}" for part in ("oss", "sle", "backports")),
    ]
    assert all(source.signed_index for source in resolve.distribution.sources)


def test_an_iso_is_refused_with_what_to_do(tmp_path: Path) -> None:
    wanted = installed_from(Install(type="iso", url=f"{ROOT}/leap.iso"))
    with pytest.raises(RequestError, match=r"leap\.iso") as caught:
        Suse(made_with(tmp_path)).plan_base(wanted, Parameters())
    assert caught.value.hint is not None
