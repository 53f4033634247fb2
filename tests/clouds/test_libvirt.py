"""What clients of libvirt send is read, and planned for, without asking anybody."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lxml import etree

from contract import TOKEN, CloudContract, made_with, template
from imagefactory.clouds.libvirt import Libvirt
from imagefactory.clouds.libvirt import connection as api
from imagefactory.clouds.libvirt.domains import described
from imagefactory.clouds.libvirt.login import CREDENTIALS_KEYS, PROVIDER_KEYS, LibvirtLogin, read
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert


class TestLibvirt(CloudContract[LibvirtLogin]):
    provider: ClassVar[str] = '{"uri": "qemu:///system", "pool": "images"}'
    credentials: ClassVar[str] = '{"username": "me", "password": "not-to-be-shown"}'
    secrets: ClassVar[Collection[str]] = ("not-to-be-shown",)
    needs_credentials: ClassVar[bool] = False
    wrong_parameters: ClassVar[Mapping[str, object]] = {"format": "vmdk", "compression": "xz"}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Libvirt(made_with(tmp_path))


def test_a_provider_may_be_the_uri_alone() -> None:
    login = read("qemu:///system", Secret(""))
    assert (login.uri, login.pool, login.mode) == ("qemu:///system", "default", "template")
    assert (login.network, login.memory, login.cpus) == ("default", 1024, 1)


def test_texts_may_be_xml() -> None:
    login = read(
        '<libvirt uri="qemu+tls://host.example.com/system" mode="volume" memory="2048"/>',
        Secret(
            "<provider_credentials><libvirt_credentials><username>me</username>"
            "<password>hunter2</password></libvirt_credentials></provider_credentials>"
        ),
    )
    assert (login.mode, login.memory, login.username) == ("volume", 2048, "me")
    assert login.password == Secret("hunter2")


def test_ssh_asks_nobody_for_a_password() -> None:
    uri = "qemu+ssh://root@host.example.com:2222/system"
    assert read(uri, Secret("")).uri == f"{uri}?no_tty=1"
    assert read(f"{uri}?keyfile=/k", Secret("")).uri == f"{uri}?keyfile=/k&no_tty=1"
    assert read(f"{uri}?no_tty=0", Secret("")).uri == f"{uri}?no_tty=0"


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+ext:///system?command=/bin/true",
        "qemu+ssh://host/system?command=/bin/true",
        "qemu+ssh://host/system?netcat=/bin/true",
        "qemu+ssh://host/system?proxy=netcat",
        "qemu+ssh://-oProxyCommand=true/system",
        "qemu+ssh://-x@host/system",
        "qemu+ssh://me:hunter2@host/system",
        "qemu+ssh://[host/system",
        "lxc:///system",
        "qemu:///other",
        "system",
    ],
)
def test_a_uri_that_would_do_something_else_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match='"uri" of the provider') as error:
        read(json.dumps({"uri": uri}), Secret(""))
    assert "hunter2" not in f"{error.value} {error.value.hint}"


@pytest.mark.parametrize(
    ("changed", "credentials", "message"),
    [
        ({"mode": "clone"}, "", '"mode" of the provider is not one of "template"'),
        ({"firmware": "coreboot"}, "", '"firmware" of the provider is not one of "bios"'),
        ({"memory": "much"}, "", '"memory" of the provider is not a whole number'),
        ({"pool": "a/b"}, "", '"pool" of the provider is not a name'),
        ({"colour": "red"}, "", 'has an unknown key "colour"'),
        ({"uri": ""}, "", 'lacks "uri"'),
        ({}, '{"username": "me"}', 'both a "username" and a "password"'),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    changed: Mapping[str, str], credentials: str, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        read(json.dumps({"uri": "qemu:///system", **changed}), Secret(credentials))


def test_a_target_image_is_a_qcow2_or_a_raw_disk(tmp_path: Path) -> None:
    cloud = Libvirt(made_with(tmp_path))
    assert cloud.plan_target(template(), Parameters({})) == (
        Convert(format="qcow2", compression="none"),
    )
    assert cloud.plan_target(template(), Parameters({"format": "raw"})) == (Convert(format="raw"),)


def test_a_machine_has_the_volume_the_network_and_the_firmware() -> None:
    login = read('{"uri": "qemu:///system", "firmware": "efi", "network": "lan"}', Secret(""))
    words = {"token": TOKEN, "name": "a & b", "volume": "v", "form": "qcow2", "kind": "kvm"}
    domain = etree.fromstring(described(login, **words))
    assert domain.get("type") == "kvm"
    assert domain.findtext("name") == "a & b"
    assert domain.findtext("uuid") == TOKEN
    assert domain.xpath("string(os/@firmware)") == "efi"
    assert domain.xpath("string(devices/disk/source/@volume)") == "v"
    assert domain.xpath("string(devices/disk/driver/@type)") == "qcow2"
    assert domain.xpath("string(devices/interface/source/@network)") == "lan"


def test_without_the_client_library_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "installed", lambda: False)
    cloud = Libvirt(made_with(tmp_path))
    assert 'pip install "imagefactory[libvirt]"' in cloud.info.description
    with pytest.raises(CloudError, match="not installed") as error:
        cloud.check(read("qemu:///system", Secret("")))
    assert "libvirt-dev" in str(error.value.hint)


@pytest.mark.parametrize("key", sorted(PROVIDER_KEYS | CREDENTIALS_KEYS))
def test_every_key_is_documented(key: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "clouds.md"
    assert f"`{key}`" in page.read_text().partition("## `libvirt`")[2].partition("\n## ")[0]
