"""Hyper-V has images of two formats, and no push."""

from pathlib import Path

import pytest

from contract import made_with, template
from imagefactory.clouds.hyperv import HyperV
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.engine.formats.convert import Convert


@pytest.fixture
def cloud(tmp_path: Path) -> HyperV:
    return HyperV(made_with(tmp_path))


def test_a_growing_vhd_is_the_default(cloud: HyperV) -> None:
    assert cloud.plan_target(template(), Parameters({})) == (Convert(format="vhd-dynamic"),)
    newer = Parameters({"hyperv_image_format": "vhdx"})
    assert cloud.plan_target(template(), newer) == (Convert(format="vhdx"),)
    with pytest.raises(RequestError, match='"hyperv_image_format" is "vdi"'):
        cloud.plan_target(template(), Parameters({"hyperv_image_format": "vdi"}))
