"""Page blobs of an Azure storage account, by the REST API of its Blob service."""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import httpx2
from lxml import etree

from imagefactory.clouds.azure.login import AzureLogin
from imagefactory.core import markup
from imagefactory.core.errors import CloudError
from imagefactory.core.secret import Secret
from imagefactory.engine.formats import sparse
from imagefactory.plugins.rest import AccessToken, Rest

_VERSION: Final = "2021-12-02"  # of the API
_PIECE: Final = 4 << 20  # bytes: the most that one Put Page takes
_SECTOR: Final = 512  # bytes: what a page blob is made of
_TOKEN: Final = "x-ms-meta-imagefactory_token"  # noqa: S105 - a header's name
_NOT_FOUND: Final = 404

Span = tuple[int, int]  #: bytes: the first, and the one behind the last


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """The blobs of one container."""

    rest: Rest
    login: AzureLogin
    authorize: Callable[[httpx2.Request], None]

    def url(self, name: str) -> str:
        """Where a blob lies, without what authorizes."""
        return f"{self.login.blob_endpoint}/{self.login.container}/{name}"

    def check(self) -> None:
        """`CloudError` when the container is not there or may not be read."""
        url = f"{self.login.blob_endpoint}/{self.login.container}"
        answer = self._ask("GET", url, params={"restype": "container"}, expect=(200, _NOT_FOUND))
        if answer.status_code == _NOT_FOUND:
            msg = f'Azure has no container "{self.login.container}" in "{self.login.account}"'
            raise CloudError(msg, hint="Make it, or give the provider another")

    def upload(self, name: str, disk: Path, *, token: str, advance: Callable[[int], None]) -> None:
        """Bring a disk there, without its empty parts and what an earlier push has sent already.

        Pages are whole or not written at all, and verified by their MD5 (REST API, "Put Page").
        """
        size = disk.stat().st_size
        there = self._written(name, size, token)
        if there is None:
            self._create(name, size, token)
        for start, data in pieces(disk):
            end = start + len(data)
            if not any(first <= start and end <= last for first, last in there or ()):
                self._write(name, start, data)
            advance(end)

    def delete(self, name: str) -> None:
        """Remove a blob; one that is gone is as good."""
        self._ask("DELETE", self.url(name), expect=(202, _NOT_FOUND))

    def _written(self, name: str, size: int, token: str) -> list[Span] | None:
        """What an interrupted push of this token has sent; None if there is no such blob."""
        answer = self._ask("HEAD", self.url(name), expect=(200, _NOT_FOUND))
        facts = answer.headers
        if answer.status_code == _NOT_FOUND or facts.get(_TOKEN) != token:
            return None
        if facts.get("Content-Length") != str(size):
            return None
        pages = self._ask("GET", self.url(name), params={"comp": "pagelist"})
        return [
            (int(page.findtext("Start") or 0), int(page.findtext("End") or 0) + 1)
            for page in _xml(pages).iter("PageRange")
        ]

    def _create(self, name: str, size: int, token: str) -> None:
        kind = {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": str(size)}
        self._ask("PUT", self.url(name), headers={**kind, _TOKEN: token}, expect=(201,))

    def _write(self, name: str, start: int, data: bytes) -> None:
        headers = {
            "x-ms-page-write": "update",
            "x-ms-range": f"bytes={start}-{start + len(data) - 1}",
            "Content-MD5": _md5(data),
        }
        answer = self._ask(
            "PUT",
            self.url(name),
            params={"comp": "page"},
            headers=headers,
            content=data,
            expect=(201,),
            fresh=True,
        )
        if answer.headers.get("Content-MD5", headers["Content-MD5"]) != headers["Content-MD5"]:
            msg = f'Azure did not store the blob "{name}" as it was sent'
            raise CloudError(msg)

    def _ask(
        self,
        method: str,
        url: str,
        *,
        expect: Collection[int] = (200,),
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        content: bytes = b"",
        fresh: bool = False,
    ) -> httpx2.Response:
        return self.rest.ask(
            method,
            url,
            authorize=self.authorize,
            expect=expect,
            fresh=fresh,
            params=params,
            headers={**(headers or {}), "x-ms-version": _VERSION},
            content=content,
        )


def pieces(disk: Path) -> Iterator[tuple[int, bytes]]:
    """The parts of a disk that are not empty, with their places; none is longer than 4 MiB."""
    with disk.open("rb", buffering=0) as file:
        size, done = os.fstat(file.fileno()).st_size, 0
        for begin, end in sparse.extents(file.fileno(), size):
            for start in range(max(begin // _PIECE * _PIECE, done), end, _PIECE):
                done = start + _PIECE
                yield from _trimmed(start, os.pread(file.fileno(), _PIECE, start))


def _trimmed(start: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """A piece without the empty sectors at both its ends, unless it is all empty."""
    if kept := data.lstrip(b"\0"):
        first = (len(data) - len(kept)) // _SECTOR * _SECTOR
        last = -(-len(data.rstrip(b"\0")) // _SECTOR) * _SECTOR
        yield start + first, data[first:last]


def authorization(login: AzureLogin, principal: AccessToken) -> Callable[[httpx2.Request], None]:
    """What makes the storage account believe a request: its key, a signature, or the principal."""

    def by_key(request: httpx2.Request) -> None:
        _date(request)
        signature = _signature(request, login.account, login.account_key or Secret(""))
        request.headers["Authorization"] = f"SharedKey {login.account}:{signature}"

    def by_signature(request: httpx2.Request) -> None:
        given = dict(parse_qsl((login.sas_token or Secret("")).reveal().lstrip("?")))
        request.url = request.url.copy_merge_params(given)

    def by_principal(request: httpx2.Request) -> None:
        _date(request)
        principal(request)

    if login.account_key:
        return by_key
    return by_signature if login.sas_token else by_principal


def _date(request: httpx2.Request) -> None:
    request.headers["x-ms-date"] = format_datetime(datetime.now(UTC), usegmt=True)


def _signature(request: httpx2.Request, account: str, key: Secret) -> str:
    """REST API, "Authorize with Shared Key", for versions since 2015-02-21."""
    plain = (
        "Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type",
        "Date", "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
    )  # fmt: skip
    values = [request.headers.get(name, "") for name in plain]
    values[2] = "" if values[2] == "0" else values[2]
    own = sorted(
        (k.lower(), v) for k, v in request.headers.items() if k.lower().startswith("x-ms-")
    )
    parts = [
        request.method,
        *values,
        *(f"{name}:{value}" for name, value in own),
        f"/{account}{request.url.raw_path.partition(b'?')[0].decode()}",
        *(f"{name.lower()}:{value}" for name, value in sorted(request.url.params.items())),
    ]
    text = "\n".join(parts).encode()
    return base64.b64encode(hmac.digest(_decoded(key), text, hashlib.sha256)).decode()


def _decoded(key: Secret) -> bytes:
    try:
        return base64.b64decode(key.reveal(), validate=True)
    except ValueError:
        msg = "The key of the storage account is not base64"
        raise CloudError(msg) from None


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _xml(answer: httpx2.Response) -> etree._Element:
    try:
        return markup.read(answer.text.lstrip("\ufeff"))
    except markup.Malformed:
        url = str(answer.request.url).partition("?")[0]
        msg = f'What answers at "{url}" is not Azure\'s storage'
        raise CloudError(msg) from None
