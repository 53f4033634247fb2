"""What clients of S3 send is read, and planned for, without asking anybody."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from contract import CloudContract, made_with, template
from imagefactory.clouds.aws import client
from imagefactory.clouds.aws.s3 import S3
from imagefactory.clouds.aws.s3_login import S3Login
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.engine.formats.convert import Convert

KEYS: Final = '{"access_key": "factory", "secret_access_key": "hunter2+hunter2"}'


class TestS3(CloudContract[S3Login]):
    provider: ClassVar[str] = '{"bucket": "images", "endpoint_url": "https://s3.example.com"}'
    credentials: ClassVar[str] = KEYS
    secrets: ClassVar[Collection[str]] = ("hunter2+hunter2",)
    broken_providers: ClassVar[Collection[str]] = ("{}", "{", "<", "[]", "No Bucket")
    wrong_parameters: ClassVar[Mapping[str, object]] = {"format": "iso", "compression": "rar"}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return S3(made_with(tmp_path))


def login(provider: str, credentials: str = KEYS) -> S3Login:
    return S3(made_with(Path("/nonexistent"))).login(provider, Secret(credentials))


def test_a_buckets_name_is_a_provider_of_aws_itself() -> None:
    found = login("s3://images")
    assert (found.bucket, found.place.endpoint, found.place.path_style) == ("images", None, False)
    assert found.place.region == "us-east-1"


def test_another_server_is_asked_with_the_bucket_in_the_path() -> None:
    assert login('{"bucket": "images", "endpoint_url": "http://127.0.0.1:9000"}').place.path_style


def test_credentials_may_be_xml() -> None:
    text = (
        "<provider_credentials><s3_credentials><access_key>factory</access_key>"
        "<secret_access_key>hunter2+hunter2</secret_access_key></s3_credentials>"
        "</provider_credentials>"
    )
    assert login("images", text) == login("images")


@pytest.mark.parametrize(
    "wrong", [{"endpoint_url": "s3.example.com"}, {"colour": "red"}, {"tags": "web"}]
)
def test_a_provider_with_a_fault_is_refused(wrong: Mapping[str, str]) -> None:
    with pytest.raises(RequestError):
        login(json.dumps({"bucket": "images", **wrong}))


def test_a_target_image_may_have_any_format(tmp_path: Path) -> None:
    cloud = S3(made_with(tmp_path))
    wanted = {"format": "qcow2", "compression": "zstd"}
    assert cloud.plan_target(template(), Parameters(wanted)) == (
        Convert(format="qcow2", compression="zstd"),
    )
    assert cloud.plan_target(template(), Parameters({})) == (Convert(format="raw"),)
    with pytest.raises(RequestError, match='"vhdx" is not written with the compression "zstd"'):
        cloud.plan_target(template(), Parameters({"format": "vhdx", "compression": "zstd"}))


def test_what_lies_elsewhere_is_not_deleted(tmp_path: Path) -> None:
    cloud = S3(made_with(tmp_path))
    for identifier in ("s3://other/x", "images/x", "ami-1"):
        with pytest.raises(CloudError, match="is not in the bucket"):
            cloud.delete(identifier, login("images"))


def test_without_the_client_library_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "installed", lambda: False)
    cloud = S3(made_with(tmp_path))
    assert 'pip install "imagefactory[aws]"' in cloud.info.description
    with pytest.raises(CloudError, match="not installed"):
        cloud.check(login("images"))
