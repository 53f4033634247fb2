"""SeaweedFS, a real S3 server, on loopback."""

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import httpx2
import pytest

from servers.environment import programs

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

ACCESS_KEY: Final = "factory"
BUCKET: Final = "images"
_STARTING: Final = 60.0  # seconds; neighbours may be busy
_GRPC: Final = 10_000  # between a server's port and the one it has for gRPC


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A server that runs, with one bucket."""

    url: str
    secret: str = field(repr=False)

    def client(self) -> "S3Client":
        """A client to look from beside what the tested code does."""
        make: Any = boto3.client
        client: S3Client = make(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=self.secret,
        )
        return client

    def things(self) -> list[str]:
        """All objects and all uploads that are under way."""
        s3 = self.client()
        objects = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        uploads = s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return [entry["Key"] for entry in objects] + [entry["UploadId"] for entry in uploads]


@contextmanager
def running(state: Path) -> Iterator[S3Server]:
    """The server, gone at the end of the block."""
    s3, master, volume, filer = _free_ports(4)
    server = S3Server(url=f"http://127.0.0.1:{s3}", secret=secrets.token_urlsafe(24))
    user = {
        "name": "factory",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": server.secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = state / "s3.json"
    config.write_text(json.dumps({"identities": [user]}))
    command = [str(programs() / "weed"), "server", f"-dir={state}", "-ip=127.0.0.1"]
    command += ["-ip.bind=127.0.0.1", "-s3", f"-s3.port={s3}", f"-s3.config={config}"]
    command += [f"-master.port={master}", f"-volume.port={volume}", "-filer=true"]
    command += [f"-filer.port={filer}", "-master.volumeSizeLimitMB=512", "-volume.max=20"]
    log = state / "seaweedfs.out"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=state, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            _await(server, process, log)
            yield server
        finally:
            process.kill()


def _free_ports(number: int) -> list[int]:
    """Ports whose neighbours for gRPC are free too."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < number:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            if port + _GRPC < 1 << 16:
                stack.enter_context(socket.create_server(("127.0.0.1", port + _GRPC)))
                found.append(port)
    return found


def _await(server: S3Server, process: subprocess.Popen[bytes], output: Path) -> None:
    ends = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < ends:
        try:
            if httpx2.get(f"{server.url}/status").is_success:
                server.client().create_bucket(Bucket=BUCKET)
                server.client().put_object(Bucket=BUCKET, Key="ready", Body=b"x")
                server.client().delete_object(Bucket=BUCKET, Key="ready")
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail(f"SeaweedFS does not start:\n{output.read_text(errors='replace')[-4000:]}")
