"""Accounts of the configuration: a client names one, and needs to know nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from fakes.patience import settled, until
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, RequestError
from imagefactory.core.images import Image, ProviderImage

TDL: Final = (
    "<template><name>mock</name><os><name>MockOS_A</name><version>1</version>"
    "<arch>x86_64</arch><install type='url'><url>http://mirror.example.org/x</url></install>"
    "</os></template>"
)
ACCOUNT: Final = {"target": "mock", "provider": {"host": "h"}, "credentials": "hush"}


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    config = Config.parse({"state": str(tmp_path / "state"), "providers": {"ours": ACCOUNT}})
    with open_factory(config, in_process=True) as factory:
        yield factory


def forgetful(image: Image) -> Image:
    """The image as if its credentials had not been kept."""
    assert isinstance(image, ProviderImage)
    return replace(image, credentials_ref=None)


def test_a_push_to_a_named_account_needs_no_credentials(factory: Factory) -> None:
    image = factory.create_provider_image(
        provider="ours", credentials=None, target="mock", template=TDL
    )
    pushed = settled(factory, image.id)
    assert isinstance(pushed, ProviderImage)
    assert (pushed.error, pushed.provider) == (None, '{"host": "h"}')
    # As when credentials are not to be kept: the account has them, whoever deletes the image.
    factory.workshop.store.change(image.id, forgetful)
    factory.delete(image.id)
    until(lambda: factory.find(image.id) is None)


def test_an_account_is_of_one_target(factory: Factory) -> None:
    with pytest.raises(RequestError, match=r"credentials\(None\)"):
        factory.create_provider_image(
            provider="ours", credentials=None, target="mocksphere", template=TDL
        )


@pytest.mark.parametrize(
    "account",
    ["hush", {}, {"target": "mock"}, {**ACCOUNT, "x": "hush"}, {**ACCOUNT, "provider": 5}],
)
def test_an_account_that_is_none_is_refused_without_being_shown(account: object) -> None:
    with pytest.raises(ConfigError) as error:
        Config.parse({"providers": {"ours": account}})
    assert "hush" not in str(error.value)
    assert 'each with "target", "provider"' in str(error.value)


def test_no_account_shows_what_it_holds(factory: Factory) -> None:
    shown = repr(factory.workshop.config)
    assert "ours" in shown
    assert "hush" not in shown
    assert "host" not in shown.partition("providers")[2].partition("local_folders")[0]
