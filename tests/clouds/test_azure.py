"""What clients of Azure send is read, and planned for, without asking anybody."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import CloudContract, made_with, template
from imagefactory.clouds.azure import Azure
from imagefactory.clouds.azure.blobs import pieces
from imagefactory.clouds.azure.login import CREDENTIALS_KEYS, PROVIDER_KEYS, AzureLogin, Gallery
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert

PROVIDER = {
    "subscription_id": "0815",
    "resource_group": "web",
    "location": "westeurope",
    "storage_account": "factory",
}
PERSON = {
    "tenant_id": "t1",
    "client_id": "c1",
    "client_secret": "hunter2",
    "account_key": "aGlkZQ==",
}


class TestAzure(CloudContract[AzureLogin]):
    provider: ClassVar[str] = json.dumps(PROVIDER)
    credentials: ClassVar[str] = json.dumps(PERSON)
    secrets: ClassVar[Collection[str]] = ("hunter2", "aGlkZQ==")

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Azure(made_with(tmp_path))

    def test_a_target_image_is_a_fixed_vhd(self, plugin: Azure) -> None:
        assert plugin.plan_target(template(), Parameters({})) == (Convert(format="vhd"),)

    def test_a_guest_gets_what_azure_speaks_to(self, plugin: Azure) -> None:
        wanted = plugin.customization(template())
        assert [package.name for package in wanted.packages] == ["cloud-init", "waagent"]
        [drivers] = wanted.commands
        assert "hv_vmbus hv_storvsc hv_netvsc" in drivers.content.text
        assert "datasource_list: [Azure, None]" in wanted.files[0].content.text
        assert not plugin.customization(template(name="MockOS_A", version="1"))


def login(**changed: object) -> AzureLogin:
    given = {**PROVIDER, **{key: v for key, v in changed.items() if key in PROVIDER_KEYS}}
    person = {**PERSON, **{key: v for key, v in changed.items() if key not in PROVIDER_KEYS}}
    cloud = Azure(made_with(Path("/nonexistent")))
    return cloud.login(json.dumps(given), Secret(json.dumps(person)))


def test_what_is_not_said_is_azures_own() -> None:
    read = login()
    assert (read.container, read.gallery, read.generation) == ("images", None, "V2")
    assert read.blob_endpoint == "https://factory.blob.core.windows.net"
    assert read.management_endpoint == "https://management.azure.com"
    assert read.login_endpoint == "https://login.microsoftonline.com"
    gallery = login(gallery="prod", gallery_image="debian").gallery
    assert gallery == Gallery(name="prod", image="debian")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"location": ""}, 'The text of the provider lacks "location"'),
        ({"client_secret": ""}, 'The text of the credentials lacks "client_secret"'),
        ({"gallery": "prod"}, 'The text of the provider lacks "gallery_image"'),
        ({"resource_group": "../x"}, 'The key "resource_group" of the provider is not a name'),
        ({"container": "a/b"}, 'The key "container" of the provider is not a name'),
        ({"hyper_v_generation": "V3"}, '"hyper_v_generation" of the provider is neither'),
        ({"blob_endpoint": "file:///x"}, '"blob_endpoint" of the provider is not the address'),
        ({"subscription": "x"}, 'The text of the credentials has an unknown key "subscription"'),
    ],
)
def test_what_is_missing_or_wrong_is_named(changed: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message) as error:
        login(**changed)
    assert "hunter2" not in f"{error.value} {error.value.hint}"


def test_only_the_full_parts_of_a_disk_are_sent(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(20 << 20)
        file.write(b"\0" * 1000 + b"begin")
        file.seek((4 << 20) - 3)
        file.write(b"across")
        file.seek(9 << 20)
        file.write(b"\0" * 4096)
        file.seek(-1, 2)
        file.write(b".")
    found = list(pieces(path))
    assert [(start, len(data)) for start, data in found] == [
        (512, (4 << 20) - 512),
        (4 << 20, 512),
        ((20 << 20) - 512, 512),
    ]
    copy = bytearray(20 << 20)
    for start, data in found:
        copy[start : start + len(data)] = data
    assert bytes(copy) == path.read_bytes()


@pytest.mark.parametrize("key", sorted(PROVIDER_KEYS | CREDENTIALS_KEYS))
def test_every_key_is_documented(key: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "clouds.md"
    assert f"`{key}`" in page.read_text()
