"""Puts large files into a bucket in parts, goes on where an upload ended, and finds what is there."""

import hashlib
import os
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from imagefactory.clouds.aws.client import Aws, code_of
from imagefactory.clouds.aws.s3_login import S3Login
from imagefactory.core.errors import CloudError
from imagefactory.plugins.progress import Progress

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef, MultipartUploadTypeDef

_TOKEN: Final = "imagefactory-token"  # noqa: S105 - of an object's metadata
_DIGEST: Final = "imagefactory-sha256"
_LEAST: Final = 8 << 20  # bytes of a part; S3 takes 5 MiB at least
_MOST_PARTS: Final = 9_000  # of one object; S3 takes 10,000
_AT_ONCE: Final = 4  # parts under way, so that they take little memory
_GONE: Final = frozenset({"NoSuchKey", "NoSuchUpload", "404", "NotFound"})


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The objects of pushes in one bucket: each in a folder that is called as its token."""

    aws: Aws
    login: S3Login

    def folder(self, token: str) -> str:
        """What the key of a push's object begins with."""
        return f"{self.login.prefix}{token}/"

    def check(self) -> None:
        """Ask for the bucket and for the right to write to it."""
        self.aws.retry(lambda: self.aws.s3().head_bucket(Bucket=self.login.bucket))
        self.aws.retry(lambda: self._uploads(self.folder("check")))

    def whole(self, token: str) -> str | None:
        """The key of a push's object; S3 shows it only when it is whole."""
        answer = self.aws.retry(
            lambda: self.aws.s3().list_objects_v2(
                Bucket=self.login.bucket, Prefix=self.folder(token), MaxKeys=1
            )
        )
        found = [entry["Key"] for entry in answer.get("Contents", ())]
        return found[0] if found else None

    def upload(self, key: str, disk: Path, *, token: str, progress: Progress) -> None:
        """Send what is not there yet in parts with checksums, and let S3 make one object of them."""
        with disk.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest()
        upload, there = self._resumed(key) or (self._begun(key, token, whole), {})
        size = disk.stat().st_size
        parts = self._send(key, upload, disk, there=there, progress=progress)
        self._join(key, upload, parts)
        self.abort(token)  # what was begun by a request whose answer got lost
        head = self.aws.retry(lambda: self.aws.s3().head_object(Bucket=self.login.bucket, Key=key))
        if head["ContentLength"] != size or head["Metadata"].get(_DIGEST) != whole:
            self.delete(key)
            msg = f'S3 did not store the object "{key}" as it was sent'
            raise CloudError(msg)

    def abort(self, token: str) -> None:
        """Give up all that was half sent under a token."""
        for upload in self.aws.retry(lambda: self._uploads(self.folder(token))):
            self._abort(upload)

    def delete(self, key: str) -> None:
        """Remove an object; S3 takes it for success that one is gone."""
        self.aws.retry(lambda: self.aws.s3().delete_object(Bucket=self.login.bucket, Key=key))

    def _uploads(self, prefix: str) -> "list[MultipartUploadTypeDef]":
        answer = self.aws.s3().list_multipart_uploads(Bucket=self.login.bucket, Prefix=prefix)
        return [upload for upload in answer.get("Uploads", ()) if upload["Key"].startswith(prefix)]

    def _begun(self, key: str, token: str, whole: str) -> str:
        more: dict[str, Any] = {}
        if self.login.tags:
            more["Tagging"] = urlencode(self.login.tags)
        if self.login.storage_class:
            more["StorageClass"] = self.login.storage_class
        return self.aws.retry(
            lambda: self.aws.s3().create_multipart_upload(
                Bucket=self.login.bucket,
                Key=key,
                ContentType="application/octet-stream",
                Metadata={_TOKEN: token, _DIGEST: whole},
                **more,
            )
        )["UploadId"]

    def _resumed(self, key: str) -> tuple[str, Mapping[int, str]] | None:
        """The upload that got furthest, and the MD5 of its parts by number; the others go."""
        found = self.aws.retry(lambda: self._uploads(key))
        held = sorted(
            ((self._parts(key, upload["UploadId"]), upload) for upload in found),
            key=lambda pair: len(pair[0]),
        )
        if not held:
            return None
        parts, furthest = held.pop()
        for _, upload in held:
            self._abort(upload)
        return furthest["UploadId"], parts

    def _parts(self, key: str, upload: str) -> Mapping[int, str]:
        def look() -> Mapping[int, str]:
            pages = (
                self.aws.s3()
                .get_paginator("list_parts")
                .paginate(Bucket=self.login.bucket, Key=key, UploadId=upload)
            )
            return {
                part["PartNumber"]: part["ETag"].strip('"')
                for page in pages
                for part in page.get("Parts", ())
            }

        return self.aws.retry(look)

    def _send(
        self,
        key: str,
        upload: str,
        disk: Path,
        *,
        there: Mapping[int, str],
        progress: Progress,
    ) -> "list[CompletedPartTypeDef]":
        size, done = disk.stat().st_size, list[CompletedPart]()
        part = max(_LEAST, -(-size // _MOST_PARTS))
        with disk.open("rb", buffering=0) as file, ThreadPoolExecutor(_AT_ONCE) as pool:
            handle = file.fileno()
            waiting: deque[Future[CompletedPart]] = deque()

            def settle() -> None:
                done.append(waiting.popleft().result())
                progress(min(len(done) * part, size))

            def send(number: int) -> CompletedPart:
                data = os.pread(handle, part, (number - 1) * part)
                return self._send_one(key, upload, number, data, there.get(number))

            try:
                for number in range(1, max(1, -(-size // part)) + 1):
                    waiting.append(pool.submit(send, number))
                    if len(waiting) > _AT_ONCE:
                        settle()
                while waiting:
                    settle()
            finally:
                for future in waiting:
                    future.cancel()
        return [{"PartNumber": one.number, "ETag": one.etag} for one in done]

    def _send_one(
        self, key: str, upload: str, number: int, data: bytes, there: str | None
    ) -> "CompletedPart":
        """One part; what an earlier life has sent is known by its MD5, which S3 calls its ETag."""
        digest = hashlib.md5(data, usedforsecurity=False)
        if there == digest.hexdigest():
            return CompletedPart(number=number, etag=f'"{there}"')
        answer = self.aws.retry(
            lambda: self.aws.s3().upload_part(
                Bucket=self.login.bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ContentMD5=b64encode(digest.digest()).decode(),
            )
        )
        return CompletedPart(number=number, etag=answer["ETag"])

    def _join(self, key: str, upload: str, parts: "list[CompletedPartTypeDef]") -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

        def join() -> None:
            try:
                self.aws.s3().complete_multipart_upload(
                    Bucket=self.login.bucket,
                    Key=key,
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                )
            except ClientError as error:
                if code_of(error) not in _GONE:
                    raise  # otherwise an earlier try has arrived; whether it has is looked at next

        self.aws.retry(join)

    def _abort(self, upload: "MultipartUploadTypeDef") -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

        def abort() -> None:
            try:
                self.aws.s3().abort_multipart_upload(
                    Bucket=self.login.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
            except ClientError as error:
                if code_of(error) not in _GONE:
                    raise

        self.aws.retry(abort)


@dataclass(frozen=True, kw_only=True)
class CompletedPart:
    """A part that S3 has taken, and what it calls it."""

    number: int
    etag: str
