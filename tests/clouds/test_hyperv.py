"""Hyper-V has images of two formats, and no push."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contract import TOKEN, made_with, template
from fakes.build import Told
from imagefactory.clouds.hyperv import HyperV
from imagefactory.core.errors import RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert
from imagefactory.plugins.registry import Registry


@pytest.fixture
def cloud(tmp_path: Path) -> HyperV:
    return HyperV(made_with(tmp_path))


def test_a_growing_vhd_is_the_default(cloud: HyperV) -> None:
    assert cloud.plan_target(template(), Parameters({})) == (Convert(format="vhd-dynamic"),)
    newer = Parameters({"hyperv_image_format": "vhdx"})
    assert cloud.plan_target(template(), newer) == (Convert(format="vhdx"),)
    with pytest.raises(RequestError, match='"hyperv_image_format" is "vdi"'):
        cloud.plan_target(template(), Parameters({"hyperv_image_format": "vdi"}))


def test_pushes_are_refused_in_a_sentence(cloud: HyperV, tmp_path: Path) -> None:
    [shown] = Registry(clouds=[cloud]).infos()
    assert "no push" in shown["description"]
    assert not cloud.customization(template())
    image = ProviderImage(id=TOKEN, provider="p", target="hyperv")
    asks: tuple[Callable[[], object], ...] = (
        lambda: cloud.login("p", Secret("hunter2")),
        lambda: cloud.check(None),
        lambda: cloud.push(image, tmp_path / "disk", None, Told()),
        lambda: cloud.find(TOKEN, None),
        lambda: cloud.delete("an-image", None),
    )
    for ask in asks:
        with pytest.raises(RequestError, match='the target "hyperv" cannot be pushed') as error:
            ask()
        assert error.value.hint
