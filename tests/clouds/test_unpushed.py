"""Clouds to which people carry the images themselves refuse a push in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract import TOKEN, made_with, template
from fakes.build import Told
from imagefactory.clouds.hyperv import HyperV
from imagefactory.clouds.indirection import Indirection
from imagefactory.core.errors import RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Cloud
from imagefactory.plugins.registry import Registry


@pytest.fixture(params=[HyperV, Indirection])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Cloud[Any]:
    made: Cloud[Any] = request.param(made_with(tmp_path))
    return made


def test_pushes_are_refused_in_a_sentence(cloud: Cloud[Any], tmp_path: Path) -> None:
    [shown] = Registry(clouds=[cloud]).infos()
    assert "no push" in shown["description"]
    assert not cloud.customization(template())
    [target] = cloud.targets
    image = ProviderImage(id=TOKEN, provider="p", target=target)
    asks: tuple[Callable[[], object], ...] = (
        lambda: cloud.login("p", Secret("hunter2")),
        lambda: cloud.check(None),
        lambda: cloud.push(image, tmp_path / "disk", None, Told()),
        lambda: cloud.find(TOKEN, None),
        lambda: cloud.delete("an-image", None),
    )
    for ask in asks:
        with pytest.raises(RequestError, match=f'the target "{target}" cannot be pushed') as error:
            ask()
        assert error.value.hint
