"""A Debian with a package more is pushed to EC2 by what has changed of it, and is there byte for byte.

Such disks start in the guests' tests.
"""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from contract import made_with
from fakes.build import Told
from fakes.faulty import faulty_line
from fakes.patience import settled
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.clouds.aws.ec2 import EC2
from imagefactory.core.config import Config
from imagefactory.core.images import ProviderImage, Status
from imagefactory.core.secret import Secret
from servers import aws as server
from servers.aws import ACCESS_KEY, BLOCK, REGION, AwsServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # two builds and two pushes

TEMPLATE: Final = """
<template>
  <name>guest</name>
  <os>
    <name>Debian</name><version>12</version><arch>x86_64</arch>
    <install type="url"><url>http://mirror.example.org/debian</url></install>
  </os>
  <packages>{packages}</packages>
  <disk><size>2 GiB</size></disk>
</template>
"""


def made(factory: Factory, packages: str) -> Path:
    """A target image for EC2."""
    asked = factory.create_target_image(
        target="ec2",
        template=TEMPLATE.format(packages=packages),
        parameters={"boot_test": False},
    )
    image = settled(factory, asked.id)
    assert image.status is Status.COMPLETE, image.error
    return factory.body(image.id)


def blocks_that_differ(one: Path, other: Path) -> int:
    assert one.stat().st_size == other.stat().st_size
    with one.open("rb") as first, other.open("rb") as second:
        blocks = range(-(-one.stat().st_size // BLOCK))
        return sum(first.read(BLOCK) != second.read(BLOCK) for _ in blocks)


def read_back(aws: AwsServer, ami: str, size: int, target: Path) -> Path:
    """The disk of an AMI, as EC2 has it."""
    [image] = aws.ec2().describe_images(ImageIds=[ami])["Images"]
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    ebs = aws.client("ebs")
    with target.open("wb") as file:
        file.truncate(size)
        for block in ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]:
            index = block["BlockIndex"]
            got: Any = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken="-")
            file.seek(index * BLOCK)
            file.write(got["BlockData"].read())
        file.truncate(size)
    return target


def test_a_rebuild_moves_little_more_than_has_changed(config: Config, tmp_path: Path) -> None:
    state = tmp_path / "aws"
    state.mkdir()
    with (
        open_factory(config, in_process=True) as factory,
        server.running(state) as aws,
        faulty_line() as line,
    ):
        bodies = [made(factory, packages) for packages in ("", '<package name="tree"/>')]
        cloud = EC2(made_with(tmp_path))
        place = {"region": REGION, "endpoint_url": line.front(aws.url)}
        keys = {"access_key": ACCESS_KEY, "secret_access_key": aws.secret}
        login = cloud.login(json.dumps(place), Secret(json.dumps(keys)))
        amis = []
        for number, body in enumerate(bodies):
            line.arm(None)
            image = ProviderImage(
                id=f"5dd4c135-0000-4000-8000-00000000000{number}",
                name="guest",
                provider="p",
                target="ec2",
                template=TEMPLATE.format(packages=""),
            )
            amis.append(cloud.push(image, body, login, Told()).identifier)
        moved = sum(call.length for call in line.calls)
        changed = blocks_that_differ(*bodies)
        assert 0 < changed * BLOCK <= moved <= 1.1 * changed * BLOCK
        disk = read_back(aws, amis[1], bodies[1].stat().st_size, tmp_path / "read-back")
        subprocess.run(["cmp", disk, bodies[1]], check=True)
