"""Makes EBS snapshots of disks by the EBS direct API, sending only the blocks that are new."""

import hashlib
import os
from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from imagefactory.clouds.aws.client import THREADS, Aws, code_of
from imagefactory.clouds.aws.manifest import Manifest, Manifests
from imagefactory.core.errors import CloudError
from imagefactory.engine.formats.sparse import extents
from imagefactory.plugins.progress import Progress

if TYPE_CHECKING:
    from types_boto3_ebs.type_defs import StartSnapshotRequestTypeDef
    from types_boto3_ec2.type_defs import SnapshotTypeDef

BLOCK: Final = 512 << 10  #: bytes; the only size that EBS knows
TOKEN: Final = "imagefactory_token"  # noqa: S105 - the tag that holds a push's token
NAME: Final = "imagefactory_name"  #: the tag that holds the template's name

_ZERO: Final = bytes(BLOCK)
_ZERO_DIGEST: Final = hashlib.sha256(_ZERO).digest()
_GIB: Final = 1 << 30
_FORGOTTEN: Final = 120  # minutes after which EBS gives up a snapshot that nobody goes on with
_SEALING: Final = 3600.0  # seconds that EBS may take to put a snapshot together
_GONE: Final = frozenset({"InvalidSnapshot.NotFound"})


def tagged(aws: Aws, key: str, value: str, *, region: str | None = None) -> list["SnapshotTypeDef"]:
    """The account's own snapshots with this tag, in whatever state; the newest first."""

    def look() -> list["SnapshotTypeDef"]:
        pages = (
            aws.ec2(region)
            .get_paginator("describe_snapshots")
            .paginate(OwnerIds=["self"], Filters=[{"Name": f"tag:{key}", "Values": [value]}])
        )
        return [snapshot for page in pages for snapshot in page["Snapshots"]]

    return sorted(aws.retry(look), key=lambda snapshot: snapshot["StartTime"], reverse=True)


def delete(aws: Aws, snapshot: str, *, region: str | None = None) -> None:
    """Remove a snapshot, whole or not; one that is gone is as good."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

    def remove() -> None:
        try:
            aws.ec2(region).delete_snapshot(SnapshotId=snapshot)
        except ClientError as error:
            if code_of(error) not in _GONE:
                raise

    aws.retry(remove)


@dataclass(frozen=True, kw_only=True)
class Uploader:
    """Brings one disk into one snapshot."""

    aws: Aws
    manifests: Manifests
    progress: Progress

    def upload(self, disk: Path, *, tags: Mapping[str, str], kms_key: str | None) -> str:
        """The id of a whole snapshot of a raw disk; an interrupted upload with the same token goes on."""
        size = -(-disk.stat().st_size // _GIB)
        snapshot, manifest = self._resumed(tags[TOKEN]) or self._started(size, tags, kms_key)
        if manifest is not None:
            self._send(disk, snapshot, manifest)
            self._seal(snapshot, manifest)
        return snapshot

    def _resumed(self, token: str) -> tuple[str, Manifest | None] | None:
        """A snapshot that an earlier life made or began; those that nobody can finish go."""
        usable: tuple[str, Manifest | None] | None = None
        for snapshot in tagged(self.aws, TOKEN, token):
            identifier, state = snapshot["SnapshotId"], snapshot["State"]
            manifest = self.manifests.find(identifier)
            if usable is None and state == "completed":
                usable = identifier, None
            elif usable is None and state == "pending" and manifest is not None:
                usable = identifier, manifest
            else:
                delete(self.aws, identifier)
                self.manifests.forget(identifier)
        return usable

    def _started(
        self, size: int, tags: Mapping[str, str], kms_key: str | None
    ) -> tuple[str, Manifest]:
        """A new snapshot, upon the newest of the same name whose content is known here."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

        wanted: StartSnapshotRequestTypeDef = {
            "VolumeSize": size,
            "Description": f"Image Factory {tags[TOKEN]}",
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            "Timeout": _FORGOTTEN,
        }
        if kms_key:
            wanted |= {"Encrypted": True, "KmsKeyArn": kms_key}
        for parent, held in [] if kms_key else self._parents(tags[NAME], size):
            try:
                return self._start({**wanted, "ParentSnapshotId": parent}, held)
            except ClientError as error:
                # Gone meanwhile, or not to be built upon, as where the account now encrypts.
                if code_of(error) not in {"ResourceNotFoundException", "ValidationException"}:
                    raise
        return self._start(wanted, None)

    def _parents(self, name: str, size: int) -> Iterator[tuple[str, Manifest]]:
        for snapshot in tagged(self.aws, NAME, name):
            held = self.manifests.find(snapshot["SnapshotId"])
            if snapshot["State"] == "completed" and snapshot["VolumeSize"] <= size and held:
                yield snapshot["SnapshotId"], held
                return

    def _start(
        self, wanted: "StartSnapshotRequestTypeDef", held: Manifest | None
    ) -> tuple[str, Manifest]:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

        once: StartSnapshotRequestTypeDef = {**wanted, "ClientToken": str(uuid4())}

        def start() -> str | ClientError:
            try:
                return self.aws.ebs().start_snapshot(**once)["SnapshotId"]
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise
                return error  # a parent that is gone does not come back

        snapshot = self.aws.retry(start)
        if isinstance(snapshot, ClientError):
            raise snapshot
        return snapshot, self.manifests.begin(snapshot, held)

    def _send(self, disk: Path, snapshot: str, manifest: Manifest) -> None:
        """Send each block that the snapshot does not hold already; few of them in memory at once."""
        with disk.open("rb", buffering=0) as file, ThreadPoolExecutor(THREADS) as pool:
            handle, size, sent = file.fileno(), disk.stat().st_size, list[int]()
            blocks = _blocks(handle, manifest)
            waiting: deque[tuple[int, Future[bytes | None]]] = deque()

            def settle() -> None:
                index, future = waiting.popleft()
                digest = future.result()
                if digest is not None:
                    manifest.add(index, digest)
                    sent.append(index)
                self.progress(min((index + 1) * BLOCK, size))

            try:
                for index in blocks:
                    known = manifest.digest(index) or _ZERO_DIGEST
                    future = pool.submit(self._send_one, handle, snapshot, index, known)
                    waiting.append((index, future))
                    if len(waiting) >= 2 * THREADS:
                        settle()
                while waiting:
                    settle()
            finally:
                for _, future in waiting:
                    future.cancel()
        told = f"Sent {len(sent) * BLOCK >> 10} KiB of a disk of {size >> 10} KiB to EC2"
        self.progress(size, f"{told}; the rest is empty or there already")

    def _send_one(self, handle: int, snapshot: str, index: int, known: bytes) -> bytes | None:
        """The digest of a block that was sent; None where it is known to be there."""
        data = os.pread(handle, BLOCK, index * BLOCK).ljust(BLOCK, b"\0")
        digest = _ZERO_DIGEST if data == _ZERO else hashlib.sha256(data).digest()
        if digest == known:
            return None
        self.aws.retry(
            lambda: self.aws.ebs().put_snapshot_block(
                SnapshotId=snapshot,
                BlockIndex=index,
                BlockData=data,
                DataLength=BLOCK,
                Checksum=b64encode(digest).decode(),
                ChecksumAlgorithm="SHA256",
            )
        )
        return digest

    def _seal(self, snapshot: str, manifest: Manifest) -> None:
        """Let EBS compare the whole, and wait until it is whole."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

        sent = manifest.sent
        whole = hashlib.sha256(b"".join(sent.values())).digest()

        def seal() -> None:
            try:
                self.aws.ebs().complete_snapshot(
                    SnapshotId=snapshot,
                    ChangedBlocksCount=len(sent),
                    Checksum=b64encode(whole).decode(),
                    ChecksumAlgorithm="SHA256",
                    ChecksumAggregationMethod="LINEAR",
                )
            except ClientError as error:
                # An earlier try may have arrived, and its answer not.
                if code_of(error) != "ValidationException" or self._state(snapshot) != "completed":
                    raise

        self.aws.retry(seal)
        state = self.aws.retry.until(lambda: self._state(snapshot), seconds=_SEALING)
        if state != "completed":
            msg = f'EC2 did not finish the snapshot "{snapshot}": {state or "it takes too long"}'
            raise CloudError(msg)

    def _state(self, snapshot: str) -> str | None:
        """`completed` or `error`; None while neither is known."""
        only: Sequence[str] = [snapshot]
        found = self.aws.ec2().describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": only}])
        states = {snapshot["State"] for snapshot in found["Snapshots"]} - {"pending"}
        return states.pop() if states else None


def _blocks(handle: int, manifest: Manifest) -> list[int]:
    """The indexes of all blocks that may hold something, now or in the parent, in order."""
    blocks = set(manifest.digests)
    for start, end in extents(handle, os.fstat(handle).st_size):
        blocks.update(range(start // BLOCK, -(-end // BLOCK)))
    return sorted(blocks)
