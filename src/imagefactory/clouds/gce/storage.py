"""Objects of a bucket, by the JSON API of Google Cloud Storage."""

import base64
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2

from imagefactory.clouds.gce.login import GceLogin
from imagefactory.core.errors import CloudError
from imagefactory.plugins.rest import AccessToken, Refusal, Rest, content

TOKEN: Final = "imagefactory-token"  # noqa: S105 - the name under which a push's token is kept
_PIECE: Final = 8 << 20  # bytes: a multiple of 256 KiB, as resumable uploads ask for
_SESSIONS: Final = (
    3  # in which an upload is tried: one may end, or bring other bytes than were sent
)
_GONE: Final = frozenset({404, 410})
_INCOMPLETE: Final = 308
_NOT_FOUND: Final = 404


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The objects of one bucket."""

    rest: Rest
    login: GceLogin
    authorize: AccessToken

    def url(self, name: str) -> str:
        """Where an object lies, as Compute Engine wants it."""
        return f"{self.login.storage_endpoint}/{self.login.bucket}/{quote(name)}"

    def check(self) -> None:
        """Ask for any one object of the bucket."""
        self._ask("GET", f"{self._bucket}/o", params={"maxResults": "1"})

    def upload(self, name: str, disk: Path, *, token: str, advance: Callable[[int], None]) -> None:
        """Bring a file there, unless an earlier push has done so, and compare its MD5."""
        there = self._show(name)
        for _session in range(_SESSIONS):
            if there is not None and _is(there, disk, token):
                return
            session = self._begin(name, token, disk.stat().st_size)
            try:
                there = Upload(self.rest, session, disk, advance).run()
            except Refusal as error:
                if error.status not in _GONE:
                    raise
        if there is None or not _is(there, disk, token):
            msg = f'Google did not store the object "{name}" as it was sent'
            raise CloudError(msg)

    def discard(self, name: str, token: str) -> None:
        """Remove what a push of this token has brought; another's object stays."""
        there = self._show(name)
        if there is not None and _token(there) == token:
            self._ask("DELETE", self._object(name), expect=(200, 204, _NOT_FOUND))

    @property
    def _bucket(self) -> str:
        return f"{self.login.storage_endpoint}/storage/v1/b/{self.login.bucket}"

    def _object(self, name: str) -> str:
        return f"{self._bucket}/o/{quote(name, safe='')}"

    def _show(self, name: str) -> Mapping[str, Any] | None:
        answer = self._ask("GET", self._object(name), expect=(200, _NOT_FOUND))
        return None if answer.status_code == _NOT_FOUND else content(answer)

    def _begin(self, name: str, token: str, size: int) -> str:
        """The address of a new session ("Perform resumable uploads")."""
        answer = self._ask(
            "POST",
            f"{self.login.storage_endpoint}/upload/storage/v1/b/{self.login.bucket}/o",
            params={"uploadType": "resumable", "name": name},
            json={"contentType": "application/gzip", "metadata": {TOKEN: token}},
            headers={"X-Upload-Content-Length": str(size)},
        )
        if "Location" not in answer.headers:
            msg = f'What answers at "{self.login.storage_endpoint}" is not Google\'s storage'
            raise CloudError(msg)
        return str(answer.headers["Location"])

    def _ask(self, method: str, url: str, **words: Any) -> httpx2.Response:
        return self.rest.ask(method, url, authorize=self.authorize, **words)


class Upload:
    """One session of a resumable upload. After a fault the server says how far it has come."""

    def __init__(
        self, rest: Rest, session: str, disk: Path, advance: Callable[[int], None]
    ) -> None:
        self._rest = rest
        self._session = session
        self._disk = disk
        self._advance = advance
        self._position = 0
        self._doubtful = False

    def run(self) -> Mapping[str, Any]:
        """The object as the server describes it."""
        with self._disk.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            while True:
                data = os.pread(file.fileno(), _PIECE, self._position)
                answer = self._rest.retry(lambda data=data: self._send(data, size))  # type: ignore[misc]
                if answer.status_code != _INCOMPLETE:
                    self._advance(size)
                    return content(answer)
                last = str(answer.headers.get("Range", "")).rpartition("-")[2]
                self._position = int(last) + 1 if last else 0
                self._advance(self._position)

    def _send(self, data: bytes, size: int) -> httpx2.Response:
        """Send a piece; the try after a fault only asks what is there."""
        end = self._position + len(data)
        place = f"bytes */{size}" if self._doubtful else f"bytes {self._position}-{end - 1}/{size}"
        sent = b"" if self._doubtful else data
        self._doubtful = True
        answer = self._rest.once(
            "PUT",
            self._session,
            headers={"Content-Range": place},
            content=sent,
            expect=(200, 201, _INCOMPLETE),
        )
        self._doubtful = False
        return answer


def _is(there: Mapping[str, Any], disk: Path, token: str) -> bool:
    if _token(there) != token or there.get("size") != str(disk.stat().st_size):
        return False
    with disk.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
    return bool(there.get("md5Hash") == base64.b64encode(digest).decode())


def _token(there: Mapping[str, Any]) -> str | None:
    return (there.get("metadata") or {}).get(TOKEN)
