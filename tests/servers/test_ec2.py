"""The cloud `ec2` against moto, made stricter."""

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from contract import TOKEN, PushContract, made_with, template
from fakes.bootable import boot_sector, comes_up
from fakes.build import Told
from fakes.faulty import Faulty, faulty_line
from fakes.instance import metadata_service
from fault_contract import FaultContract
from imagefactory.clouds.aws import keys
from imagefactory.clouds.aws.client import connected
from imagefactory.clouds.aws.ec2 import EC2
from imagefactory.clouds.aws.ec2_login import Ec2Login
from imagefactory.clouds.aws.snapshots import NAME as NAME_TAG
from imagefactory.clouds.aws.snapshots import TOKEN as TOKEN_TAG
from imagefactory.clouds.aws.snapshots import Uploader
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from imagefactory.plugins.progress import Progress
from servers.aws import ACCESS_KEY, BLOCK, OTHER, REGION, AwsServer, running

pytestmark = pytest.mark.integration

FRIEND: Final = "210987654321"
ORIGINAL: Final = (
    "<provider_credentials><ec2_credentials><account_number>1234-5678-9012</account_number>"
    "<access_key>{access}</access_key><secret_access_key>{secret}</secret_access_key>"
    "<certificate>-----BEGIN CERTIFICATE-----</certificate>"
    "<key>-----BEGIN PRIVATE KEY-----</key></ec2_credentials></provider_credentials>"
)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    """What stands for EC2, EBS and STS."""
    with running(tmp_path_factory.mktemp("aws")) as server:
        yield server


@pytest.fixture
def cloud(tmp_path: Path) -> EC2:
    return EC2(made_with(tmp_path))


@pytest.fixture(autouse=True)
def empty(aws: AwsServer) -> Iterator[None]:
    """Every test begins with an account that has nothing."""
    aws.reset()
    yield
    aws.reset()


def login_to(
    cloud: EC2, aws: AwsServer, *, access: str = ACCESS_KEY, url: str = "", **more: Any
) -> Ec2Login:
    provider = {"name": f"ec2-{REGION}", "endpoint_url": url or aws.url, **more}
    text = ORIGINAL.format(access=access, secret=aws.secret)
    return cloud.login(json.dumps(provider), Secret(text))


class TestEc2(PushContract[Ec2Login]):
    @pytest.fixture
    def cloud(self, tmp_path: Path) -> EC2:
        return EC2(made_with(tmp_path))

    @pytest.fixture
    def login(self, cloud: EC2, aws: AwsServer) -> Ec2Login:
        self.aws = aws
        return login_to(cloud, aws, copy_to=[OTHER], share=[FRIEND])

    @pytest.fixture
    def refused(self, cloud: EC2, aws: AwsServer) -> Ec2Login:
        return login_to(cloud, aws, access="AKIASTRANGER")

    def things(self, login: Ec2Login) -> Collection[str]:  # noqa: ARG002
        return self.aws.things()


@pytest.mark.slow
class TestEc2WithFaults(FaultContract[Ec2Login]):
    stride: ClassVar[int] = 5  # a push makes some twenty requests

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> EC2:
        return EC2(made_with(tmp_path))

    @pytest.fixture
    def through(self, cloud: EC2, faulty: Faulty, aws: AwsServer) -> Ec2Login:
        self.aws = aws
        return login_to(cloud, aws, url=faulty.front(aws.url), share="all")

    def things(self, login: Ec2Login) -> Collection[str]:  # noqa: ARG002
        return self.aws.things()

    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        [image] = self.aws.ec2().describe_images(ImageIds=[pushed.identifier])["Images"]
        return image["Public"] and held(self.aws, pushed, disk.stat().st_size) == disk.read_bytes()


def held(aws: AwsServer, pushed: Pushed, size: int) -> bytes:
    """The disk of an AMI, as EC2 has it."""
    [image] = aws.ec2().describe_images(ImageIds=[pushed.identifier])["Images"]
    return aws.content(image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"], size)


@pytest.fixture
def image() -> ProviderImage:
    return an_image(TOKEN)


def an_image(token: str, **parameters: Any) -> ProviderImage:
    return ProviderImage(
        id=token,
        name="web-server",
        provider="p",
        target="ec2",
        template=template().text,
        parameters=parameters,
    )


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with a hole, and an end that is not a block's."""
    path = tmp_path / "disk.body"
    with path.open("wb") as file:
        file.truncate((60 << 20) + 4096)
        file.write(boot_sector() + os.urandom(20 << 20))
        file.seek(-4096, os.SEEK_END)
        file.write(os.urandom(4096))
    return path


def blocks_sent(faulty: Faulty) -> int:
    return sum(1 for call in faulty.calls if call.method == "PUT" and "/blocks/" in call.path)


def test_an_ami_is_one_for_current_machines(
    aws: AwsServer, cloud: EC2, image: ProviderImage, disk: Path, tmp_path: Path
) -> None:
    login = login_to(cloud, aws, share=f"{FRIEND}, 1111-2222-3333", tags={"team": "web"})
    pushed = cloud.push(image, disk, login, Told())
    assert pushed.account == ACCESS_KEY
    [ami] = aws.ec2().describe_images(ImageIds=[pushed.identifier])["Images"]
    assert (ami["Architecture"], ami["VirtualizationType"]) == ("x86_64", "hvm")
    assert (ami["BootMode"], ami["EnaSupport"], ami["ImdsSupport"]) == (
        "uefi-preferred",
        True,
        "v2.0",
    )
    [mapping] = ami["BlockDeviceMappings"]
    assert ami["RootDeviceName"] == mapping["DeviceName"] == "/dev/xvda"
    assert mapping["Ebs"]["VolumeType"] == "gp3"
    assert (ami["Name"], ami["Description"]) == (
        f"web-server {image.id}",
        f"ImageFactory created AMI - {image.id}",
    )
    tags = {tag["Key"]: tag["Value"] for tag in ami["Tags"]}
    assert (tags["Name"], tags["team"], tags["imagefactory_token"]) == (
        "web-server",
        "web",
        image.id,
    )
    shared = aws.ec2().describe_image_attribute(
        ImageId=pushed.identifier, Attribute="launchPermission"
    )["LaunchPermissions"]
    assert {permission["UserId"] for permission in shared} == {FRIEND, "111122223333"}
    read_back = tmp_path / "read-back"
    read_back.write_bytes(held(aws, pushed, disk.stat().st_size))
    assert read_back.read_bytes() == disk.read_bytes()
    assert comes_up(read_back, tmp_path)


def test_only_blocks_that_hold_something_are_sent(
    aws: AwsServer, cloud: EC2, image: ProviderImage, disk: Path
) -> None:
    with faulty_line() as line:
        login = login_to(cloud, aws, url=line.front(aws.url))
        told = Told()
        cloud.push(image, disk, login, told)
        assert blocks_sent(line) == 20 * 2 + 1 + 1
        assert any(f"Sent {42 * 512} KiB of a disk" in activity for activity in told.activities)


def test_of_a_rebuilt_image_only_what_changed_is_sent(
    aws: AwsServer, cloud: EC2, image: ProviderImage, disk: Path
) -> None:
    with faulty_line() as line:
        login = login_to(cloud, aws, url=line.front(aws.url))
        first = cloud.push(image, disk, login, Told())
        with disk.open("r+b") as file:  # a package's files, and one that is gone
            for place in (3 << 20, 7 << 20, 33 << 20):
                file.seek(place)
                file.write(os.urandom(1 << 19))
            file.seek(12 << 20)
            file.write(bytes(1 << 19))
        line.arm(None)
        second = cloud.push(an_image("5dd4c135-0000-4000-8000-000000000000"), disk, login, Told())
        assert blocks_sent(line) == 4
        moved = sum(call.length for call in line.calls)
        assert moved <= 1.1 * 4 * BLOCK
        assert held(aws, second, disk.stat().st_size) == disk.read_bytes()
        cloud.delete(first.identifier, login)
        assert held(aws, second, disk.stat().st_size) == disk.read_bytes()
        assert len(aws.things()) == 2


def test_an_upload_goes_on_after_the_death_of_its_process(
    aws: AwsServer, cloud: EC2, image: ProviderImage, disk: Path
) -> None:
    with faulty_line() as line, disk.open("rb") as file:
        login = login_to(cloud, aws, url=line.front(aws.url))
        with connected(login.identity, login.place, "begin") as client:
            uploader = Uploader(
                aws=client, manifests=cloud._manifests, progress=Progress(Told(), size=1)
            )
            tags = {TOKEN_TAG: image.id, NAME_TAG: "web-server"}
            snapshot, manifest = uploader._started(1, tags, None)
            for index in range(10):
                digest = uploader._send_one(file.fileno(), snapshot, index, bytes(32))
                assert digest
                manifest.add(index, digest)
        line.arm(None)
        pushed = cloud.push(image, disk, login, Told())
        assert blocks_sent(line) == 42 - 10
    assert held(aws, pushed, disk.stat().st_size) == disk.read_bytes()
    assert sorted(aws.things()) == sorted([pushed.identifier, snapshot])


def test_a_push_on_a_machine_that_does_not_know_the_parent_sends_all(
    aws: AwsServer, cloud: EC2, image: ProviderImage, disk: Path, tmp_path: Path
) -> None:
    cloud.push(image, disk, login_to(cloud, aws), Told())
    other = EC2(made_with(tmp_path / "other"))
    with faulty_line() as line:
        login = login_to(cloud, aws, url=line.front(aws.url))
        pushed = other.push(an_image("5dd4c135-0000-4000-8000-00000000000a"), disk, login, Told())
        assert blocks_sent(line) == 42
        assert held(aws, pushed, disk.stat().st_size) == disk.read_bytes()


def test_a_role_is_taken_on(aws: AwsServer, cloud: EC2, image: ProviderImage, disk: Path) -> None:
    credentials = {
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": aws.secret,
        "role_arn": "arn:aws:iam::123456789012:role/images",
        "external_id": "factory",
    }
    provider = json.dumps({"region": REGION, "endpoint_url": aws.url})
    login = cloud.login(provider, Secret(json.dumps(credentials)))
    cloud.check(login)
    pushed = cloud.push(image, disk, login, Told())
    assert cloud.find(image.id, login) == pushed


def test_the_instances_keys_are_taken_where_the_operator_lets_them(
    aws: AwsServer,
    image: ProviderImage,
    disk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloud = EC2(made_with(tmp_path, ec2_instance_keys=True))
    provider = json.dumps({"region": REGION, "endpoint_url": aws.url})
    login = cloud.login(provider, Secret('{"credential_source": "Ec2InstanceMetadata"}'))
    role = {"AccessKeyId": "ASIAROLE", "SecretAccessKey": "hunter2", "Token": "hunter3"}
    with metadata_service(**role) as url:
        monkeypatch.setattr(keys, "METADATA", url)
        cloud.check(login)
        pushed = cloud.push(image, disk, login, Told())
        assert pushed.account == "the instance's role"
        assert cloud.find(image.id, login) == pushed
    with pytest.raises(CloudError, match="gets no keys from EC2"):
        cloud.check(login)


def test_a_region_that_is_not_there_is_told(aws: AwsServer, cloud: EC2) -> None:
    with pytest.raises(CloudError, match='The EC2 region "eu-nowhere-9" is not there'):
        cloud.check(login_to(cloud, aws, copy_to="eu-nowhere-9"))


def test_a_wrong_key_is_told_and_no_secret_is_shown(aws: AwsServer, cloud: EC2) -> None:
    login = login_to(cloud, aws, access="AKIASTRANGER")
    with pytest.raises(CloudError) as error:
        cloud.check(login)
    assert error.value.brief == f'EC2 in "{REGION}" refused the login'
    assert aws.secret not in f"{error.value!r} {error.value.__cause__!r} {login!r}"


def test_a_right_that_is_missing_is_told_by_its_name(aws: AwsServer, cloud: EC2) -> None:
    login = login_to(cloud, aws, access="AKIAREADER0123456789")
    with pytest.raises(CloudError, match='does not allow "AKIAREADER0123456789" to') as error:
        cloud.check(login)
    assert error.value.hint == 'Allow the action "CompleteSnapshot" to it'


def test_a_disk_that_is_not_raw_is_refused(
    aws: AwsServer, cloud: EC2, image: ProviderImage, tmp_path: Path
) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(
        b"QFI\xfb\x00\x00\x00\x03" + bytes(16) + (1 << 20).to_bytes(8, "big") + bytes(480)
    )
    with pytest.raises(CloudError, match="Input image is a not in raw format"):
        cloud.push(image, path, login_to(cloud, aws), Told())


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"ec2_ami_type": "s3"}, 'type "s3" is not made any more'),
        ({"ec2_ami_type": "tape"}, r"Invalid or unspecified EC2 AMI type \(tape\)"),
        ({"ec2_virt_type": "xen"}, r"Invalid 'ec2_virt_type' \(xen\) - must be 'hvm' or"),
        ({"ec2_boot_mode": "coreboot"}, '"ec2_boot_mode"'),
    ],
)
def test_what_cannot_be_pushed_is_told_before_anything_is_sent(
    aws: AwsServer, cloud: EC2, disk: Path, parameters: dict[str, str], sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence):
        cloud.push(an_image(TOKEN, **parameters), disk, login_to(cloud, aws), Told())
    assert aws.things() == []
