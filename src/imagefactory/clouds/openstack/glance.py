"""Speaks to Glance (Image API v2) through OpenStack's own client library, and nothing else does."""

import hashlib
import html
import importlib.util
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, assert_never
from urllib.parse import quote
from uuid import uuid4

from imagefactory import __version__
from imagefactory.clouds.openstack.login import (
    ApplicationCredential,
    OpenStackLogin,
    Password,
    Token,
)
from imagefactory.core.errors import CloudError
from imagefactory.core.secret import Secret
from imagefactory.plugins.echoes import redacted
from imagefactory.plugins.retry import Retry, pause_after

if TYPE_CHECKING:
    from keystoneauth1.adapter import Adapter
    from keystoneauth1.exceptions import ClientException
    from keystoneauth1.identity.v3 import Auth

log = logging.getLogger(__name__)

INSTALL: Final = 'Install it with: pip install "imagefactory[openstack]"'

_PATIENCE: Final = 30.0  # seconds without an answer
_STORING: Final = 900.0  # seconds that Glance may take to put away what it was sent
_OK: Final = 200
ASKING: Final = 2.0  # seconds that a check lets a fault last
_PUSHING: Final = 120.0  # seconds that a push does, each time
_UNDOING: Final = 10.0  # seconds that it does when it has failed already
_LONGEST: Final = 200  # characters of an answer that a message quotes


def installed() -> bool:
    """Whether the client library, an extra of ours, is there."""
    return importlib.util.find_spec("keystoneauth1") is not None


@dataclass(frozen=True, kw_only=True)
class Glance:
    """One project's images. Every method raises what the client library raises: see `connected`."""

    adapter: "Adapter"
    project: str  #: id
    account: str  #: the user's name
    retry: Retry

    def list_first(self) -> None:
        """Ask for any one image, which needs all that a push needs, and for room where limits are kept."""
        self.retry(lambda: _read(self.adapter.get("/images", params={"limit": 1}), "images"))
        answer = self.retry(lambda: self.adapter.get("/info/usage", raise_exc=False))
        if answer.status_code != _OK:  # it is younger than Glance is
            return
        for name in ("image_count_total", "image_size_total"):
            used = answer.json()["usage"].get(name, {"usage": 0, "limit": -1})
            if used["usage"] >= used["limit"] >= 0:
                msg = f'The project "{self.project}" may not have more in OpenStack: its "{name}" is full'
                raise CloudError(msg, hint=f"It has {used['usage']} of {used['limit']}")

    def having(self, key: str, value: str) -> list[Mapping[str, Any]]:
        """The project's own images with this property; others' public ones may have it too."""
        mine = {key: value, "owner": self.project}
        found = self.retry(lambda: _read(self.adapter.get("/images", params=mine), "images"))
        return [image for image in found["images"] if mine.items() <= image.items()]

    def create(self, attributes: Mapping[str, Any]) -> str:
        """Register an image without content; its id, which is ours, so that no second try makes two."""
        from keystoneauth1.exceptions import Conflict  # noqa: PLC0415 - an extra

        identifier = str(uuid4())

        def register() -> None:
            try:
                _read(self.adapter.post("/images", json={**attributes, "id": identifier}), "id")
            except Conflict:
                self._show(identifier)  # an earlier try has arrived, its answer has not

        self.retry(register)
        return identifier

    def upload(self, identifier: str, disk: Path, advance: Callable[[int], None]) -> None:
        """Send the content and compare what Glance says it stored."""
        digest = self.retry(lambda: self._send(identifier, disk, advance))
        stored = self.retry(lambda: self._show(identifier))
        algorithm = stored.get("os_hash_algo") or "md5"
        if digest is None or digest.name != algorithm:
            with disk.open("rb") as file:
                digest = hashlib.file_digest(file, algorithm)
        said = stored.get("os_hash_value") or stored.get("checksum")
        if stored["status"] != "active" or said != digest.hexdigest():
            msg = f'OpenStack did not store the image "{identifier}" as it was sent'
            raise CloudError(msg)

    def _show(self, identifier: str) -> Mapping[str, Any]:
        return _read(self.adapter.get(f"/images/{identifier}"), "status")

    def _send(
        self, identifier: str, disk: Path, advance: Callable[[int], None]
    ) -> "hashlib._Hash | None":
        """The digest of what was sent; None when an earlier try has arrived and its answer has not."""
        from keystoneauth1.exceptions import Conflict  # noqa: PLC0415 - an extra

        with disk.open("rb") as file:
            content = _Content(file, disk.stat().st_size, advance)
            try:
                # A second try after a new login, or at another address, would send no content.
                self.adapter.put(
                    f"/images/{identifier}/file",
                    data=content,
                    headers={"Content-Type": "application/octet-stream"},
                    allow_reauth=False,
                    redirect=False,
                    log=False,
                    timeout=(_PATIENCE, _STORING),
                )
            except Conflict:
                if self._show(identifier)["status"] != "active":
                    raise  # Glance has not yet noticed that the earlier try broke off
                return None
        return content.digest

    def delete(self, identifier: str) -> None:
        """Remove an image; one that is gone is as good."""
        from keystoneauth1.exceptions import NotFound  # noqa: PLC0415 - an extra

        def remove() -> None:
            try:
                self.adapter.delete(f"/images/{quote(identifier, safe='')}")
            except NotFound:
                log.info("The image %s was not there any more", identifier)

        self.retry(remove)

    def undo(self, identifier: str) -> None:
        """Remove what was half made, if the servers still answer; the fault is told by another."""
        from keystoneauth1.exceptions import ClientException  # noqa: PLC0415 - an extra

        try:
            replace(self, retry=_retry(_UNDOING)).delete(identifier)
        except ClientException:
            log.warning("The half-made image %s stays with OpenStack", identifier)


@contextmanager
def connected(
    login: OpenStackLogin,
    doing: str,
    *,
    seconds: float = _PUSHING,
    proceed: Callable[[], object] = lambda: None,
) -> Iterator[Glance]:
    """Log in; the one place where the client library's exceptions become a `CloudError`.

    `doing` completes "OpenStack refused to …"; `seconds` and `proceed` are those of `Retry`.
    """
    if not installed():
        msg = "The OpenStack client library is not installed"
        raise CloudError(msg, hint=INSTALL)
    # Here and not above: it is an extra, and takes a fifth of a second.
    from keystoneauth1 import adapter, exceptions, session  # noqa: PLC0415

    auth = _auth(login)
    asking = session.Session(
        auth=auth,
        timeout=_PATIENCE,
        verify=login.verify,
        app_name="imagefactory",
        app_version=__version__,
    )
    retry = _retry(seconds, proceed)
    try:
        access = retry(lambda: auth.get_access(asking))
        yield Glance(
            adapter=adapter.Adapter(
                asking,
                service_type="image",
                interface=login.interface,
                region_name=login.region,
                endpoint_override=login.endpoint,
                min_version="2",
                max_version="2.latest",
            ),
            project=access.project_id or "",
            account=access.username or access.user_id or "",
            retry=retry,
        )
    except exceptions.ClientException as error:
        raise _refusal(error, login, doing) from None  # it holds the answer as it came


def _auth(login: OpenStackLogin) -> "Auth":
    from keystoneauth1.identity import v3  # noqa: PLC0415 - an extra

    words: dict[str, Any]
    match login.identity:
        case Password(user=user, password=password):
            words = {**user, **login.project, "password": password.reveal()}
            return v3.Password(login.auth_url, **words)
        case ApplicationCredential(credential=credential, secret=secret):
            words = {**credential, "application_credential_secret": secret.reveal()}
            return v3.ApplicationCredential(login.auth_url, **words)
        case Token(token=token):
            words = {**login.project, "token": token.reveal()}
            return v3.Token(login.auth_url, **words)
        case _ as never:
            assert_never(never)


def _retry(seconds: float, proceed: Callable[[], object] = lambda: None) -> Retry:
    from keystoneauth1.exceptions import ClientException  # noqa: PLC0415 - an extra

    return Retry(faults=(ClientException,), pause=_pause, proceed=proceed, seconds=seconds)


def _pause(error: Exception) -> float | None:
    from keystoneauth1 import exceptions  # noqa: PLC0415 - an extra

    match error:
        case exceptions.NotFound() | exceptions.Conflict() if "/images/" in (error.url or ""):
            # Made just now: not every server knows it yet, or one is still busy with it.
            return 0.0 if error.method != "DELETE" else None
        case exceptions.HttpError(response=response) if response is not None:
            return pause_after(error.http_status, response.headers.get("Retry-After"))
        case exceptions.SSLError():
            return None
        case exceptions.ConnectionError():
            return 0.0
        case _:
            return None


def _refusal(error: "ClientException", login: OpenStackLogin, doing: str) -> CloudError:
    from keystoneauth1 import exceptions  # noqa: PLC0415 - an extra

    where = f'OpenStack at "{login.auth_url}"'
    match error:
        case exceptions.Unauthorized():
            msg = f"{where} refused the login"
            return CloudError(msg, hint="Check user, secret, project and their domains")
        case exceptions.HttpError():
            msg = f"{where} refused to {doing}: {_words(error, login)}"
            return CloudError(msg)
        case exceptions.SSLError():
            msg = f"{where} has a certificate that is not trusted"
            return CloudError(
                msg, hint='Install its authority, or give the provider "verify": false'
            )
        case exceptions.ConnectTimeout():
            return CloudError(f"{where} did not answer in time")
        case exceptions.ConnectionError():
            return CloudError(f"{where} could not be reached, or broke off")
        case exceptions.CatalogException() | exceptions.DiscoveryFailure():
            msg = f"{where} names no image service for this login"
            return CloudError(msg, hint="Check project, region and interface")
        case _:
            return CloudError(f"{where} could not be asked to {doing}: {type(error).__name__}")


def _words(error: Any, login: OpenStackLogin) -> str:
    """What a server said, as one line; Glance says it in HTML, and some proxies repeat the request."""
    text = html.unescape(re.sub(r"<title>.*?</title>|<[^>]*>", " ", error.details or ""))
    told = text if text.strip() else f"{error.http_status} {error.message}"
    said = " ".join(redacted(told, (*login.secrets, *_tokens(error))).split())
    return said.rstrip(".") if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _tokens(error: Any) -> Iterator[Secret]:
    """What the request was authorized by."""
    request = getattr(error.response, "request", None)
    token = request.headers.get("X-Auth-Token") if request is not None else None
    if token:
        yield Secret(token)


def _read(answer: Any, key: str) -> dict[str, Any]:
    """A response's JSON object; with a wrong address it may be anybody's who answers."""
    try:
        content: dict[str, Any] = answer.json()
    except ValueError:
        content = {}
    if key not in content:
        address = answer.url.partition("?")[0]
        msg = f'What answers at "{address}" is not OpenStack\'s image service'
        raise CloudError(msg, hint="Check the address of Glance that the provider gives")
    return content


class _Content:
    """A file as the body of a request: tells how much is sent, and hashes it on the way."""

    def __init__(self, file: BinaryIO, size: int, advance: Callable[[int], None]) -> None:
        self._file = file
        self._size = size
        self._sent = 0
        self._advance = advance
        self.digest = hashlib.sha512()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(1 << 20):
            yield data

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self._sent += len(data)
        self._advance(self._sent)
        return data
