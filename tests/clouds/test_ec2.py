"""What clients of EC2 send is read, and planned for, without asking anybody."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from contract import CloudContract, made_with, template
from imagefactory.clouds.aws import client
from imagefactory.clouds.aws.ec2 import EC2
from imagefactory.clouds.aws.ec2_login import Ec2Login
from imagefactory.clouds.aws.manifest import Manifests
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert

ORIGINAL: Final = (
    "<provider_credentials><ec2_credentials><account_number>1234-5678-9012</account_number>"
    "<access_key>AKIAEXAMPLE</access_key><secret_access_key>hunter2+hunter2</secret_access_key>\n"
    "<certificate>-----BEGIN CERTIFICATE-----…</certificate>"
    "<key>-----BEGIN PRIVATE KEY-----…</key></ec2_credentials></provider_credentials>"
)
KEYS: Final = {"access_key": "AKIAEXAMPLE", "secret_access_key": "hunter2+hunter2"}


class TestEc2(CloudContract[Ec2Login]):
    provider: ClassVar[str] = "ec2-us-east-1"
    credentials: ClassVar[str] = ORIGINAL
    secrets: ClassVar[Collection[str]] = ("hunter2+hunter2", "BEGIN PRIVATE KEY")
    broken_providers: ClassVar[Collection[str]] = ("{}", "{", "<", "[]", "mars", '{"name": "x"}')
    wrong_parameters: ClassVar[Mapping[str, object]] = {
        "skip_ec2_modifications": "perhaps",
        "ec2_flatten": "perhaps",
        "ec2_modify": [],
        "ec2_image_format": "qcow2",
        "ec2_boot_mode": "coreboot",
    }

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return EC2(made_with(tmp_path))


def login(provider: str, credentials: str = ORIGINAL) -> Ec2Login:
    return EC2(made_with(Path("/nonexistent"))).login(provider, Secret(credentials))


@pytest.mark.parametrize(
    "region",
    [
        "us-east-1",
        "us-gov-west-1",
        "us-west-1",
        "us-west-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-northeast-1",
        "sa-east-1",
        "eu-central-1",
        "eu-west-1",
    ],
)
def test_the_originals_regions_are_known_by_all_their_names(region: str) -> None:
    for name in (region, f"ec2-{region}", f"@ec2-{region}", f" {region}\n"):
        assert login(name).region == region


def test_the_originals_definition_of_a_region_is_read() -> None:
    given = {
        "name": "us-east-1",
        "host": "us-east-1",
        "boto_loc": "US",
        "i386": "aki-805ea7e9",
        "x86_64": "aki-825ea7eb",
    }
    assert login(json.dumps(given)) == login("ec2-us-east-1")
    attributes = " ".join(f'{key}="{value}"' for key, value in given.items())
    assert login(f"<provider {attributes}/>") == login("us-east-1")


def test_an_unknown_region_is_refused_in_the_originals_words() -> None:
    with pytest.raises(RequestError) as error:
        login("ec2-mars")
    assert error.value.brief == "Passed unknown EC2 region (ec2-mars)"


def test_other_names_of_the_original_for_certificate_and_key_are_read() -> None:
    old = ORIGINAL.replace("certificate>", "x509_public>")
    old = old.replace("<key>", "<x509_private>").replace("</key>", "</x509_private>")
    assert login("us-east-1", old) == login("us-east-1")


@pytest.mark.parametrize("missing", ["access_key", "secret_access_key"])
def test_what_the_credentials_lack_is_told(missing: str) -> None:
    keys = {key: value for key, value in KEYS.items() if key != missing}
    with pytest.raises(RequestError, match=f"No EC2 {missing} available"):
        login("us-east-1", json.dumps(keys))


def test_credentials_are_read_by_awss_own_names() -> None:
    environment = {
        "aws_access_key_id": "ASIAEXAMPLE",
        "aws_secret_access_key": "hunter2",
        "aws_session_token": "hunter3",
    }
    service = {
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "hunter2",
        "SessionToken": "hunter3",
        "Expiration": "2026-11-24T00:00:00Z",
    }
    first, second = (login("eu-west-1", json.dumps(text)) for text in (environment, service))
    assert first == second
    assert first.identity.session_token == Secret("hunter3")
    assert "hunter" not in repr(first)


def test_a_role_can_be_given() -> None:
    role = {"role_arn": "arn:aws:iam::123456789012:role/images", "external_id": "x"}
    identity = login("eu-west-1", json.dumps({**KEYS, **role})).identity
    assert (identity.role, identity.external_id) == (role["role_arn"], "x")


def test_nobody_gets_the_instances_keys_unless_the_operator_says_so(tmp_path: Path) -> None:
    wanted = Secret('{"credential_source": "Ec2InstanceMetadata"}')
    with pytest.raises(RequestError, match="which it gives to nobody") as error:
        EC2(made_with(tmp_path)).login("eu-west-1", wanted)
    assert error.value.hint == 'The operator may set "ec2_instance_keys"'
    identity = EC2(made_with(tmp_path, ec2_instance_keys=True)).login("eu-west-1", wanted).identity
    assert (identity.of_instance, identity.secrets) == (True, ())
    with pytest.raises(RequestError, match='is not "Ec2InstanceMetadata"'):
        login("eu-west-1", '{"credential_source": "Environment"}')


def test_what_becomes_of_an_image_is_the_providers() -> None:
    given = {
        "region": "eu-west-1",
        "share": ["1234-5678-9012", "all"],
        "copy_to": "us-east-1, ec2-us-west-2,eu-west-1",
        "tags": {"team": "web"},
        "volume_type": "io2",
    }
    found = login(json.dumps(given))
    assert found.share == ("123456789012", "all")
    assert found.copies == ("us-east-1", "us-west-2")
    assert (found.tags, found.volume_type) == ({"team": "web"}, "io2")


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": "12"},
        {"copy_to": "mars"},
        {"volume_type": "tape"},
        {"endpoint_url": "ftp://example.com"},
        {"endpoint_url": "https://user:hunter2@example.com"},
        {"colour": "red"},
    ],
)
def test_a_provider_with_a_fault_is_refused(wrong: Mapping[str, str]) -> None:
    with pytest.raises(RequestError) as error:
        login(json.dumps({"region": "eu-west-1", **wrong}))
    assert "hunter2" not in str(error.value)


def test_every_target_image_is_a_whole_raw_disk(tmp_path: Path) -> None:
    cloud = EC2(made_with(tmp_path))
    old = {"skip_ec2_modifications": "true", "ec2_flatten": "no", "ec2_modify": False}
    for parameters in ({}, old, {"ec2_virt_type": "paravirtual"}):
        assert cloud.plan_target(template(), Parameters(parameters)) == (Convert(format="raw"),)


def test_an_image_of_a_dead_kind_is_refused(tmp_path: Path) -> None:
    cloud = EC2(made_with(tmp_path, ec2_ami_type="s3"))
    with pytest.raises(RequestError, match='type "s3" is not made any more'):
        cloud.plan_target(template(), Parameters({}))
    assert cloud.plan_target(template(), Parameters({"ec2_ami_type": "ebs"}))


def test_a_debian_asks_ec2_and_its_clock() -> None:
    cloud = EC2(made_with(Path("/nonexistent")))
    wanted = cloud.customization(template())
    assert [package.name for package in wanted.packages] == ["cloud-init"]
    contents = {file.name: file.content.text for file in wanted.files}
    assert "datasource_list: [Ec2, None]" in contents["/etc/cloud/cloud.cfg.d/90_ec2.cfg"]
    assert "169.254.169.123" in contents["/etc/systemd/timesyncd.conf.d/ec2.conf"]
    assert not cloud.customization(template(name="MockOS_A"))


def test_without_the_client_library_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "installed", lambda: False)
    cloud = EC2(made_with(tmp_path))
    assert 'pip install "imagefactory[aws]"' in cloud.info.description
    with pytest.raises(CloudError, match="not installed") as error:
        cloud.check(login("us-east-1"))
    assert error.value.hint == client.INSTALL


def test_a_manifest_outlives_a_crash_in_the_middle_of_a_line(tmp_path: Path) -> None:
    manifests = Manifests(folder=tmp_path)
    parent = manifests.begin("snap-1", None)
    parent.add(7, bytes([7] * 32))
    manifest = manifests.begin("snap-2", parent)
    manifest.add(3, bytes([3] * 32))
    with (tmp_path / "snap-2.blocks").open("a") as file:
        file.write("\n4 0404")
    again = manifests.find("snap-2")
    assert again is not None
    again.add(5, bytes([5] * 32))
    found = manifests.find("snap-2")
    assert found is not None
    assert sorted(found.digests) == [3, 5, 7]
    assert list(found.sent) == [3, 5]
    manifests.forget("snap-2")
    assert manifests.find("snap-2") is None
