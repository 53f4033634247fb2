"""What clients of vSphere send is read, and planned for, without asking anybody."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from contract import CloudContract, made_with, template
from imagefactory.clouds.vsphere import VSphere
from imagefactory.clouds.vsphere.login import VSphereLogin, read
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert

PLACE: Final = {
    "api-url": "https://vcenter/sdk",
    "datastore": "datastore1",
    "compute_resource": "10.0.0.5",
    "network_name": "VM Network",
}
OLD: Final = {**PLACE, "username": "Administrator", "password": "hunter2"}
CREDENTIALS: Final = (
    "<provider_credentials><vsphere_credentials><username>me</username>"
    "<password>not-to-be-shown</password></vsphere_credentials></provider_credentials>"
)


class TestVSphere(CloudContract[VSphereLogin]):
    provider: ClassVar[str] = json.dumps(PLACE)
    credentials: ClassVar[str] = CREDENTIALS
    secrets: ClassVar[Collection[str]] = ("not-to-be-shown",)
    wrong_parameters: ClassVar[dict[str, object]] = {"vsphere_vmdk_format": "thick"}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return VSphere(made_with(tmp_path))

    def test_a_target_image_is_a_vmdk_with_the_drivers_of_vmware(self, plugin: VSphere) -> None:
        assert plugin.plan_target(template(), Parameters({})) == (Convert(format="vmdk"),)
        names = [package.name for package in plugin.customization(template()).packages]
        assert names == ["linux-image-amd64", "open-vm-tools"]


def test_the_originals_texts_are_understood() -> None:
    login = read(json.dumps(OLD), Secret(CREDENTIALS))
    assert (login.api_url, login.username) == ("https://vcenter/sdk", "me")
    assert login.password.reveal() == "not-to-be-shown"
    words = " ".join(f'{key}="{value}"' for key, value in OLD.items())
    login = read(f"<vsphere {words}/>", Secret(""))
    assert (login.username, login.password.reveal()) == ("Administrator", "hunter2")
    assert (login.compute_resource, login.verify) == ("10.0.0.5", True)


@pytest.mark.parametrize(
    ("provider", "credentials", "message"),
    [
        ("words", "", "VMWare instance not found in XML or JSON provided"),
        (json.dumps(PLACE), "", "No username specified in config file or in push call"),
        (json.dumps(PLACE), '{"username": "me"}', "No password specified in config file"),
        (json.dumps({**OLD, "api-url": "vcenter"}), "", '"api-url" of the provider is not'),
        (json.dumps({**OLD, "ca_certificate": "x"}), "", '"ca_certificate" of the provider'),
        (json.dumps({**OLD, "datstore": "x"}), "", 'has an unknown key "datstore"'),
    ],
)
def test_what_is_missing_or_wrong_is_named(provider: str, credentials: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as error:
        read(provider, Secret(credentials))
    assert "hunter2" not in f"{error.value} {error.value.hint}"
