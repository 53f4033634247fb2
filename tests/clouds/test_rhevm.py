"""RHEV has images of two formats."""

from pathlib import Path

import pytest

from contract import made_with, template
from imagefactory.clouds.rhevm import Rhevm
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.engine.formats.convert import Convert


def test_the_format_is_the_parameters_over_the_configurations(tmp_path: Path) -> None:
    qcow2, raw = Convert(format="qcow2", compression="none"), Convert(format="raw")
    cloud = Rhevm(made_with(tmp_path))
    assert cloud.plan_target(template(), Parameters({})) == (raw,)
    wanted = Parameters({"rhevm_image_format": "qcow2"})
    assert cloud.plan_target(template(), wanted) == (qcow2,)
    configured = Rhevm(made_with(tmp_path, rhevm_image_format="qcow2"))
    assert configured.plan_target(template(), Parameters({})) == (qcow2,)
    with pytest.raises(RequestError, match='"rhevm_image_format" is "vdi"'):
        cloud.plan_target(template(), Parameters({"rhevm_image_format": "vdi"}))
