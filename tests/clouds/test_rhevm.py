"""What clients of RHEV and oVirt send is read, and planned for, without asking anybody."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from contract import CloudContract, made_with, template
from imagefactory.clouds.rhevm import Rhevm
from imagefactory.clouds.rhevm.login import PROVIDER_KEYS, RhevmLogin, read
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert

PLACE: Final = {"api-url": "https://engine.example.com", "storage_domain": "data"}
OLD: Final = {
    "api-url": "https://rhevm:8443/api",
    "username": "admin@internal",
    "password": "hunter2",
    "nfs-path": "/home/rhev/export",
    "nfs-dir": "/mnt/rhevm",
    "nfs-host": "nfs.example.com",
    "cluster": "_any_",
    "timeout": 1800,
}
CREDENTIALS: Final = (
    "<provider_credentials><rhevm_credentials><username>me</username>"
    "<password>not-to-be-shown</password></rhevm_credentials></provider_credentials>"
)


class TestRhevm(CloudContract[RhevmLogin]):
    provider: ClassVar[str] = json.dumps(PLACE)
    credentials: ClassVar[str] = CREDENTIALS
    secrets: ClassVar[Collection[str]] = ("not-to-be-shown",)
    wrong_parameters: ClassVar[dict[str, object]] = {"rhevm_image_format": "vdi"}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Rhevm(made_with(tmp_path))

    def test_a_guest_asks_the_config_drive_and_answers_the_engine(self, plugin: Rhevm) -> None:
        wanted = plugin.customization(template())
        assert [package.name for package in wanted.packages] == ["cloud-init", "qemu-guest-agent"]
        assert "datasource_list: [ConfigDrive, None]" in wanted.files[0].content.text


def test_the_format_is_the_parameters_over_the_configurations(tmp_path: Path) -> None:
    qcow2, raw = Convert(format="qcow2", compression="none"), Convert(format="raw")
    cloud = Rhevm(made_with(tmp_path))
    assert cloud.plan_target(template(), Parameters({})) == (raw,)
    wanted = Parameters({"rhevm_image_format": "qcow2"})
    assert cloud.plan_target(template(), wanted) == (qcow2,)
    configured = Rhevm(made_with(tmp_path, rhevm_image_format="qcow2"))
    assert configured.plan_target(template(), Parameters({})) == (qcow2,)


def test_the_originals_texts_are_understood() -> None:
    login = read(json.dumps(OLD), Secret(CREDENTIALS))
    assert (login.username, login.password.reveal()) == ("me", "not-to-be-shown")
    words = " ".join(f'{key}="{value}"' for key, value in OLD.items())
    login = read(f"<rhevm {words}/>", Secret(""))
    assert (login.username, login.password.reveal()) == ("admin@internal", "hunter2")
    assert login.api_url == "https://rhevm:8443/ovirt-engine/api"
    assert (login.nfs_host, login.nfs_path) == ("nfs.example.com", "/home/rhev/export")
    assert (login.cluster, login.timeout, login.verify) == (None, 1800, True)


@pytest.mark.parametrize(
    ("provider", "credentials", "message"),
    [
        ("words", "", "RHEV-M instance not found in XML or JSON provided"),
        (json.dumps(PLACE), "", "No username specified in config file or in push call"),
        (json.dumps(PLACE), '{"username": "me"}', "No password specified in config file"),
        (json.dumps({**OLD, "nfs-path": ""}), "", 'lacks "storage_domain"'),
        (json.dumps({**OLD, "nfs-host": ""}), "", 'lacks "nfs-host"'),
        (json.dumps({**OLD, "timeout": "soon"}), "", '"timeout" of the provider is not a whole'),
        (json.dumps({**OLD, "api-url": "rhevm"}), "", '"api-url" of the provider is not'),
        (json.dumps({**OLD, "ca_certificate": "x"}), "", '"ca_certificate" of the provider'),
        (json.dumps({**OLD, "clustr": "x"}), "", 'has an unknown key "clustr"'),
    ],
)
def test_what_is_missing_or_wrong_is_named(provider: str, credentials: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as error:
        read(provider, Secret(credentials))
    assert "hunter2" not in f"{error.value} {error.value.hint}"


@pytest.mark.parametrize("key", sorted(PROVIDER_KEYS))
def test_every_key_is_documented(key: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "clouds.md"
    assert f"`{key}`" in page.read_text()
