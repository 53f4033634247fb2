"""Services that have ended are listed and refused, each with a sentence that says so."""

import json
from pathlib import Path
from typing import Final

import pytest

from contract import TOKEN, made_with, template
from fakes.build import Told
from imagefactory.clouds.gone import Gone, atlas, rackspace
from imagefactory.core.errors import RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.plugins.registry import Registry, load

RACKSPACE: Final = """
<provider_credentials><rackspace_credentials>
  <account_number>12345</account_number><username>me</username><password>hunter2</password>
  <api_key>hunter3</api_key>
</rackspace_credentials></provider_credentials>
"""
#: target -> what clients of the original send as provider and credentials
GIVEN: Final = {
    "rackspace": ("DFW", RACKSPACE),
    "atlas": ("atlas", '{"username": "me", "token": "hunter2"}'),
}


@pytest.fixture(params=[rackspace, atlas], ids=lambda make: make.__name__)
def gone(request: pytest.FixtureRequest, tmp_path: Path) -> Gone:
    made: Gone = request.param(made_with(tmp_path))
    return made


def test_they_are_listed_with_what_to_use_instead(gone: Gone) -> None:
    [shown] = Registry(clouds=[gone]).infos()
    assert json.loads(json.dumps(shown)) == shown
    assert "its service is gone" in shown["description"]
    assert gone.customization(template()) == gone.customization(template(name="MockOS_A"))


def test_images_and_logins_are_refused_without_a_secret(gone: Gone, tmp_path: Path) -> None:
    [target] = gone.targets
    provider, credentials = GIVEN[target]
    image = ProviderImage(id=TOKEN, provider=provider, target=target)
    for ask in (
        lambda: gone.plan_target(template(), Parameters({})),
        lambda: gone.login(provider, Secret(credentials)),
        lambda: gone.check(None),
        lambda: gone.push(image, tmp_path / "disk", None, Told()),
        lambda: gone.find(TOKEN, None),
        lambda: gone.delete("an-image", None),
    ):
        with pytest.raises(RequestError) as error:
            ask()
        assert error.value.brief == f'The service behind the target "{target}" is gone'
        assert error.value.hint
        assert "hunter" not in f"{error.value!r} {error.value.hint}"


def test_the_installed_plugins_have_them(tmp_path: Path) -> None:
    registry = load(made_with(tmp_path))
    assert {"Rackspace", "Atlas"} <= {plugin["id"] for plugin in registry.infos()}
