"""The cloud `s3` against SeaweedFS, a real S3 server."""

import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import TOKEN, PushContract, made_with, template
from fakes.bootable import boot_sector, comes_up
from fakes.build import Told
from fakes.faulty import Faulty, faulty_line
from fault_contract import FaultContract
from imagefactory.clouds.aws.s3 import S3
from imagefactory.clouds.aws.s3_login import S3Login
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from servers.seaweedfs import ACCESS_KEY, BUCKET, S3Server, running

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server."""
    with running(tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture(autouse=True)
def empty(server: S3Server) -> Iterator[None]:
    """Every test begins with an empty bucket."""
    yield
    s3 = server.client()
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])


@pytest.fixture
def cloud(tmp_path: Path) -> S3:
    return S3(made_with(tmp_path))


@pytest.fixture
def image() -> ProviderImage:
    return ProviderImage(
        id=TOKEN, name="web-server", provider="p", target="s3", template=template().text
    )


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.body"
    path.write_bytes(boot_sector() + bytes(range(256)) * (20 << 12))
    return path


def login_to(cloud: S3, server: S3Server, *, secret: str = "", **more: Any) -> S3Login:
    provider = {"bucket": BUCKET, "endpoint_url": server.url, **more}
    keys = {"access_key": ACCESS_KEY, "secret_access_key": secret or server.secret}
    return cloud.login(json.dumps(provider), Secret(json.dumps(keys)))


class TestS3(PushContract[S3Login]):
    @pytest.fixture
    def cloud(self, tmp_path: Path) -> S3:
        return S3(made_with(tmp_path))

    @pytest.fixture
    def login(self, cloud: S3, server: S3Server) -> S3Login:
        self.server = server
        return login_to(cloud, server, prefix="images/", tags={"team": "web"})

    @pytest.fixture
    def refused(self, cloud: S3, server: S3Server) -> S3Login:
        return login_to(cloud, server, secret="wrong")

    def things(self, login: S3Login) -> Collection[str]:  # noqa: ARG002
        return self.server.things()


class TestS3WithFaults(FaultContract[S3Login]):
    stride: ClassVar[int] = 4  # the machine is slow, and each push is made three times

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> S3:
        return S3(made_with(tmp_path))

    @pytest.fixture
    def through(self, cloud: S3, faulty: Faulty, server: S3Server) -> S3Login:
        self.server = server
        return login_to(cloud, server, endpoint_url=faulty.front(server.url))

    def things(self, login: S3Login) -> Collection[str]:  # noqa: ARG002
        return self.server.things()

    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        return content(self.server, pushed) == disk.read_bytes()


def content(server: S3Server, pushed: Pushed) -> bytes:
    key = pushed.identifier.removeprefix(f"s3://{BUCKET}/")
    return server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_what_comes_down_is_what_went_up(
    server: S3Server, cloud: S3, image: ProviderImage, disk: Path, tmp_path: Path
) -> None:
    login = login_to(cloud, server, prefix="nightly/")
    pushed = cloud.push(image, disk, login, Told())
    key = f"nightly/{image.id}/web-server.raw"
    assert pushed == Pushed(identifier=f"s3://{BUCKET}/{key}", account=ACCESS_KEY)
    read_back = tmp_path / "read-back"
    read_back.write_bytes(content(server, pushed))
    assert read_back.read_bytes() == disk.read_bytes()
    assert comes_up(read_back, tmp_path)
    metadata = server.client().head_object(Bucket=BUCKET, Key=key)["Metadata"]
    assert metadata["imagefactory-token"] == image.id


def test_an_upload_that_was_begun_goes_on(
    server: S3Server, cloud: S3, image: ProviderImage, disk: Path
) -> None:
    key, s3, data = f"{image.id}/web-server.raw", server.client(), disk.read_bytes()
    metadata = {
        "imagefactory-token": image.id,
        "imagefactory-sha256": hashlib.sha256(data).hexdigest(),
    }
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key, Metadata=metadata)["UploadId"]
    part = 8 << 20
    s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=data[:part])
    with faulty_line() as line:
        login = login_to(cloud, server, endpoint_url=line.front(server.url))
        pushed = cloud.push(image, disk, login, Told())
        sent = sum(call.length for call in line.calls)
    assert len(data) - part <= sent < len(data) - part + 4096
    assert content(server, pushed) == data


def test_a_bucket_that_is_not_there_is_told(server: S3Server, cloud: S3) -> None:
    with pytest.raises(CloudError, match='open the bucket "nowhere"'):
        cloud.check(login_to(cloud, server, bucket="nowhere"))
