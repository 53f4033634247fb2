"""Measures a push to EC2 beside the least that the server which stands for it can take.

Run as `PYTHONPATH=tests python -m benchmarks.clouds`.
"""

import base64
import hashlib
import http.client
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from imagefactory.clouds.aws.ec2 import EC2
from imagefactory.core.config import Config
from imagefactory.core.images import ProviderImage
from imagefactory.core.secret import Secret
from servers import aws

_MIB: Final = 1 << 20
_LOGICAL: Final = 2048  # MiB of the disk
_DATA: Final = 384  # MiB of it that are not zero, about what a Debian of two GiB holds


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as server:
        disk = _disk(Path(folder))
        floor = _floor(server, disk)
        seconds, processor, before, peak = _push(server, disk, Path(folder))
    words = {
        "disk (MiB)": _LOGICAL,
        "not zero (MiB)": _DATA,
        "the server's floor (s)": round(floor, 2),
        "the server's floor, logical (MiB/s)": round(_LOGICAL / floor),
        "push (s)": round(seconds, 2),
        "our processor (s)": round(processor, 2),
        "logical (MiB/s)": round(_LOGICAL / seconds),
        "sent (MiB/s)": round(_DATA / seconds),
        "memory before (MiB)": before,
        "peak memory (MiB)": peak,
    }
    sys.stdout.write(json.dumps(words, indent=1) + "\n")
    return 0


@contextmanager
def _server(folder: Path) -> Iterator[aws.AwsServer]:
    state = folder / "server"
    state.mkdir()
    with aws.running(state) as server:
        yield server


def _disk(folder: Path) -> Path:
    path = folder / "disk.raw"
    with path.open("wb") as file:
        file.truncate(_LOGICAL * _MIB)
        for place in range(0, _LOGICAL, _LOGICAL * 8 // _DATA):
            file.seek(place * _MIB)
            file.write(os.urandom(8 * _MIB))
    return path


def _floor(server: aws.AwsServer, disk: Path) -> float:
    """Seconds to put the same blocks with a client that does nothing else: no signature, no library."""
    snapshot = server.client("ebs").start_snapshot(VolumeSize=2)["SnapshotId"]
    address = urlsplit(server.url).netloc
    with disk.open("rb") as file:
        blocks = [os.pread(file.fileno(), aws.BLOCK, n * aws.BLOCK) for n in range(64)]
    data = next(block for block in blocks if any(block))
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={aws.ACCESS_KEY}/20260101/{aws.REGION}/ebs/"
        "aws4_request, SignedHeaders=host, Signature=0",
        "Host": f"ebs.{aws.REGION}.amazonaws.com",
        "x-amz-Checksum": base64.b64encode(hashlib.sha256(data).digest()).decode(),
        "x-amz-Checksum-Algorithm": "SHA256",
        "x-amz-Data-Length": str(aws.BLOCK),
    }

    def put_all(numbers: range) -> None:
        connection = http.client.HTTPConnection(address)
        for number in numbers:
            path = f"/snapshots/{snapshot}/blocks/{number}"
            connection.request("PUT", path, body=data, headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, answer.status
        connection.close()

    start = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put_all, [range(n, 2 * _DATA, 4) for n in range(4)]))
    return time.monotonic() - start


def _push(server: aws.AwsServer, disk: Path, folder: Path) -> tuple[float, float, int, int]:
    """Seconds, those of the processor, and the MiB of the process that pushed, before and at most."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (server, disk, folder))


def _measured(server: aws.AwsServer, disk: Path, folder: Path) -> tuple[float, float, int, int]:
    cloud = EC2(Config(state=folder / "state"))
    provider = json.dumps({"region": aws.REGION, "endpoint_url": server.url})
    keys = json.dumps({"access_key": aws.ACCESS_KEY, "secret_access_key": server.secret})
    login = cloud.login(provider, Secret(keys))
    image = ProviderImage(id=str(uuid.uuid4()), name="bench", provider=provider, target="ec2")
    cloud.check(login)  # as every build does; it loads the client library
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, busy = time.monotonic(), time.process_time()
    cloud.push(image, disk, login, lambda _percent, _activity=None: None)
    seconds, processor = time.monotonic() - start, time.process_time() - busy
    return (
        seconds,
        processor,
        before >> 10,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    )


if __name__ == "__main__":
    sys.exit(main())
