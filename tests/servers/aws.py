"""What stands for AWS on loopback: moto, made stricter, with a client beside the tested code."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import httpx2

from servers.environment import programs
from servers.openstack import address, listening, serving

if TYPE_CHECKING:
    from types_boto3_ec2.client import EC2Client

ACCESS_KEY: Final = "AKIAFACTORY0123456789"  #: the only one that the server takes
REGION: Final = "eu-west-1"
OTHER: Final = "us-east-1"
BLOCK: Final = 512 << 10


@dataclass(frozen=True, kw_only=True)
class AwsServer:
    """A server that runs."""

    url: str
    secret: str = field(repr=False)

    def client(self, service: str, region: str = REGION) -> Any:
        """A client to look from beside what the tested code does."""
        make: Any = boto3.client
        return make(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=self.secret,
        )

    def ec2(self, region: str = REGION) -> "EC2Client":
        """One for machines and images."""
        client: EC2Client = self.client("ec2", region)
        return client

    def things(self) -> list[str]:
        """All AMIs and snapshots of our account, in both regions."""
        found: list[str] = []
        for region in (REGION, OTHER):
            ec2 = self.ec2(region)
            images = ec2.describe_images(Owners=["self"])["Images"]
            snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
            found += [image["ImageId"] for image in images]
            found += [snapshot["SnapshotId"] for snapshot in snapshots]
        return found

    def content(self, snapshot: str, size: int) -> bytes:
        """The disk that a snapshot holds."""
        ebs = self.client("ebs")
        disk = bytearray(size)
        for block in ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]:
            index = block["BlockIndex"]
            got = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken="-")
            disk[index * BLOCK : (index + 1) * BLOCK] = got["BlockData"].read()
        return bytes(disk[:size])

    def reset(self) -> None:
        """Forget everything."""
        httpx2.post(f"{self.url}/moto-api/reset").raise_for_status()


@contextmanager
def running(state: Path) -> Iterator[AwsServer]:
    """The server, gone at the end of the block."""
    listener = listening()
    server = AwsServer(url=address(listener), secret=secrets.token_urlsafe(24))
    with serving("aws", listener, state, programs()):
        yield server
