"""Speaks to a registry (OCI distribution-spec 1.1, Docker Registry HTTP API V2), and nothing else does."""

import json
import logging
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpx2

from imagefactory.clouds.docker.documents import MANIFEST
from imagefactory.clouds.docker.login import DockerLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.secret import Secret
from imagefactory.plugins.echoes import redacted, sent
from imagefactory.plugins.rest import PUSHING
from imagefactory.plugins.retry import Retry, pause_after

log = logging.getLogger(__name__)

T = TypeVar("T")

_PATIENCE: Final = httpx2.Timeout(30.0, read=300.0)  # seconds; a registry moves what it was sent
_LONGEST: Final = 200  # characters of an answer that a message quotes
_RESTARTS: Final = 3  # uploads begun anew since the registry had dropped one
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')

#: gives the bytes of a blob from the first on, in pieces that are sent one by one
Pieces = Callable[[], Iterator[bytes]]


class _Dropped(Exception):
    """The registry does not go on with an upload."""


class _Passing(Exception):
    """An answer that may be another one the next time."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(str(answer.status_code))
        self.answer = answer


class Registry:
    """One repository, as one login sees it. All methods raise `CloudError`, having tried again."""

    def __init__(
        self,
        client: httpx2.Client,
        login: DockerLogin,
        retry: Retry,
    ) -> None:
        self._client = client
        self._login = login
        self._retry = retry
        self._bearer = login.token
        self._base = f"{login.registry}/v2/{login.repository}"

    def check(self) -> None:
        """Begin an upload and end it, which needs all that a push needs."""
        answer = self._ask("POST", f"{self._base}/blobs/uploads/", good={202})
        self._cancel(self._location(answer))

    def manifest(self, reference: str) -> str | None:
        """The digest of a manifest by its tag; None where there is none."""
        answer = self._ask("HEAD", self._named("manifests", reference), good={200, 404})
        return answer.headers.get("Docker-Content-Digest") if answer.status_code == 200 else None

    def put_manifest(self, reference: str, manifest: bytes, *, digest: str) -> None:
        """Make an image visible under a name."""
        headers = {"Content-Type": MANIFEST}
        url = self._named("manifests", reference)
        answer = self._ask("PUT", url, good={200, 201}, content=manifest, headers=headers)
        stored = answer.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            self.delete_manifest(stored)
            msg = f'The registry did not store "{self._login.place}:{reference}" as it was sent'
            raise CloudError(msg)

    def delete_manifest(self, digest: str) -> None:
        """Remove a manifest with all its tags; one that is gone is as good. Layers are shared and stay."""
        good = {200, 202, 404, 405}
        answer = self._ask("DELETE", self._named("manifests", digest), good=good)
        if answer.status_code == 405:
            msg = f'The registry of "{self._login.place}" does not delete images'
            raise CloudError(msg, hint="Let its operator allow it, or delete with forget")

    def has(self, digest: str) -> bool:
        """Whether a blob is there already."""
        answer = self._ask("HEAD", self._named("blobs", digest), good={200, 404})
        return answer.status_code == 200

    def upload(self, digest: str, size: int, pieces: Pieces) -> None:
        """Bring a blob there, unless it is there or can be taken from another repository."""
        if self.has(digest):
            return
        for _again in range(_RESTARTS):
            url = self._begin(digest)
            if url is None:
                return
            upload = _Upload(url=url, size=size)
            try:
                self._send(upload, digest, pieces)
            except _Dropped:
                if self.has(digest):
                    return
                log.info("The registry has dropped an upload, which begins anew")
            except BaseException:
                self._cancel(upload.url)
                raise
            else:
                return
        msg = f'The registry of "{self._login.place}" dropped an upload {_RESTARTS} times'
        raise CloudError(msg)

    def _begin(self, digest: str) -> str | None:
        query = ""
        if self._login.mount_from is not None:
            query = f"?mount={quote(digest)}&from={quote(self._login.mount_from)}"
        answer = self._ask("POST", f"{self._base}/blobs/uploads/{query}", good={201, 202})
        return self._location(answer) if answer.status_code == 202 else None

    def _send(self, upload: "_Upload", digest: str, pieces: Pieces) -> None:
        for piece in pieces():
            self._send_piece(upload, piece)
        if upload.sent != upload.size:
            msg = f'The layer of "{self._login.place}" changed while it was sent'
            raise CloudError(msg)
        joint = "&" if "?" in upload.url else "?"
        url = f"{upload.url}{joint}digest={quote(digest)}"
        answer = self._ask("PUT", url, good={201, 202, 204, 400, 404, 416})
        if answer.status_code == 400:
            raise self._refusal(answer, "take a layer")
        if answer.status_code in {404, 416}:
            raise _Dropped

    def _send_piece(self, upload: "_Upload", piece: bytes) -> None:
        """One PATCH. When its answer was lost, the registry is asked how far it has come."""
        end = upload.sent + len(piece)
        tries = 0

        def attempt() -> None:
            nonlocal tries
            tries += 1
            if tries > 1:
                self._catch_up(upload, end)
                if upload.sent == end:
                    return
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{upload.sent}-{end - 1}",
            }
            answer = self._once("PATCH", upload.url, content=piece, headers=headers)
            if answer.status_code in {404, 416}:
                raise _Dropped
            if answer.status_code not in {202, 204}:
                raise self._refusal(answer, "take a layer")
            upload.url, upload.sent = self._location(answer), end

        self._trying(attempt)

    def _catch_up(self, upload: "_Upload", end: int) -> None:
        answer = self._once("GET", upload.url)
        found = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
        if answer.status_code != 204 or not found:
            raise _Dropped
        last = int(found[1])
        position = last + 1 if last else 0
        if position not in {upload.sent, end}:
            raise _Dropped
        upload.url, upload.sent = self._location(answer), position

    def _cancel(self, url: str) -> None:
        """Let the registry forget an upload, if it still answers; it forgets them by itself in time."""
        try:
            self._once("DELETE", url)
        except (httpx2.TransportError, _Passing):
            log.info("An upload that is not wanted stays with the registry for a while")

    def _named(self, kind: str, name: str) -> str:
        return f"{self._base}/{kind}/{quote(name, safe=':')}"

    def _location(self, answer: httpx2.Response) -> str:
        return urljoin(str(answer.request.url), answer.headers.get("Location", ""))

    def _ask(
        self,
        method: str,
        url: str,
        *,
        good: set[int],
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """A request, tried again while that may help."""
        words = {"Accept": MANIFEST, **(headers or {})}
        answer = self._trying(lambda: self._once(method, url, content=content, headers=words))
        if answer.status_code not in good:
            raise self._refusal(answer, f"answer {method} as it should")
        return answer

    def _trying(self, action: Callable[[], T]) -> T:
        try:
            return self._retry(action)
        except _Passing as error:
            raise self._refusal(error.answer, "do what was asked") from None
        except httpx2.TransportError as error:
            msg = f'The registry at "{self._login.registry}" could not be reached, or broke off'
            raise CloudError(msg, hint=_hint(error)) from error

    def _once(
        self,
        method: str,
        url: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """A request, made again only to log in."""
        given = dict(headers or {})
        answer = self._sent(method, url, content, given)
        challenge = answer.headers.get("WWW-Authenticate", "")
        wants_token = answer.status_code == 401 and challenge.lower().startswith("bearer ")
        if wants_token and self._renew(challenge, url):
            answer = self._sent(method, url, content, given)
        if pause_after(answer.status_code) is not None:
            raise _Passing(answer)
        return answer

    def _sent(
        self, method: str, url: str, content: bytes, headers: dict[str, str]
    ) -> httpx2.Response:
        """One request; the login goes to the registry alone, not to where it may send an upload."""
        auth: httpx2.Auth | None = None
        if urlsplit(url).netloc == urlsplit(self._login.registry).netloc:
            if self._bearer is not None:
                headers = {**headers, "Authorization": f"Bearer {self._bearer.reveal()}"}
            else:
                auth = self._basic
        return self._client.request(method, url, content=content, headers=headers, auth=auth)

    @property
    def _basic(self) -> httpx2.Auth | None:
        if self._login.username is None or self._login.password is None:
            return None
        return httpx2.BasicAuth(self._login.username, self._login.password.reveal())

    def _renew(self, challenge: str, url: str) -> bool:
        """Get a token where the registry says (Docker's token authentication); whether there is one."""
        words = dict(_CHALLENGE.findall(challenge))
        realm = words.pop("realm", "")
        if not realm.startswith(("https://", "http://")) or (
            realm.startswith("http://") and url.startswith("https://")
        ):
            return False
        words["scope"] = f"repository:{self._login.repository}:pull,push,delete"
        words.pop("error", None)
        answer = self._client.get(realm, params=words, auth=self._basic)
        if pause_after(answer.status_code) is not None:
            raise _Passing(answer)
        given = _object(answer)
        token = given.get("token") or given.get("access_token")
        if answer.status_code != 200 or not token:
            return False
        self._bearer = Secret(str(token))
        return True

    def _refusal(self, answer: httpx2.Response, doing: str) -> CloudError:
        where = f'The registry at "{self._login.registry}"'
        if answer.status_code in {401, 403}:
            msg = f'{where} does not let this login write to "{self._login.repository}"'
            return CloudError(msg, hint="Check the user, the password and the repository")
        errors = _object(answer).get("errors")
        said = "; ".join(str(one.get("message")) for one in errors or [] if isinstance(one, dict))
        secrets = (*self._login.secrets, *sent(answer.request))
        text = " ".join(redacted(said or answer.reason_phrase, secrets).split())[:_LONGEST]
        return CloudError(f"{where} refused to {doing}: {answer.status_code} {text}")


class _Upload:
    """How far an upload has come."""

    def __init__(self, *, url: str, size: int) -> None:
        self.url = url
        self.size = size
        self.sent = 0


@contextmanager
def connected(
    login: DockerLogin,
    *,
    seconds: float = PUSHING,
    proceed: Callable[[], object] = lambda: None,
) -> Iterator[Registry]:
    """A repository while the block runs; nothing is asked yet. The words are those of `Retry`."""
    verify = _trusted() if login.verify else False
    with httpx2.Client(verify=verify, timeout=_PATIENCE, trust_env=False) as client:
        faults = (httpx2.TransportError, _Passing)
        retry = Retry(faults=faults, pause=_pause, proceed=proceed, seconds=seconds)
        yield Registry(client, login, retry)


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities of the host, which take longer to read than most answers take."""
    return httpx2.create_ssl_context()


def _pause(error: Exception) -> float | None:
    if isinstance(error, _Passing):
        return pause_after(error.answer.status_code, error.answer.headers.get("Retry-After"))
    return None if "certificate" in str(error).lower() else 0.0


def _hint(error: httpx2.TransportError) -> str | None:
    if "certificate" in str(error).lower():
        return 'Install its authority, or give the provider "verify": false'
    return None


def _object(answer: httpx2.Response) -> dict[str, Any]:
    try:
        content = json.loads(answer.content)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
