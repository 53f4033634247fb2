"""The connection to a daemon: whom it trusts, as whom it signs, and what its refusals mean."""

import hashlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx2

from imagefactory.cli.oauth import OAuth
from imagefactory.core.config import Config
from imagefactory.core.errors import (
    ConfigError,
    Conflict,
    FactoryError,
    NotFound,
    RequestError,
    ServerError,
    StoreError,
    TemplateError,
)
from imagefactory.web import clients

_TIMEOUT: Final = 60  # seconds without a byte
_CONNECT: Final = 10  # seconds
_PROBLEM: Final = "application/problem+json"
_ACCEPT: Final = f"application/json, {_PROBLEM}"
_ROOT: Final = "/imagefactory"
_PORTS: Final = {"http": 80, "https": 443}
#: what a daemon's refusals are here; each code is told by its class
_REFUSALS: Final = {
    kind.code: kind for kind in (RequestError, TemplateError, NotFound, Conflict, StoreError)
}


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Asks a daemon, and raises what it refuses as the error that this process would have raised."""

    http: httpx2.Client
    url: str  #: of the API, without a slash at the end

    def check(self) -> None:
        """`ServerError` unless an image factory answers."""
        try:
            told = self.get("")
        except ValueError:
            told = None  # a page for people, say
        if not isinstance(told, dict) or told.get("name") != "imagefactory":
            msg = f'The server "{self.url}" is no image factory'
            raise ServerError(msg, hint="Is this the address of its API?")

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON at a path of the API."""
        return self.send("GET", path, params=query).json()

    def wait_for(self, path: str) -> Any:
        """The same, however long the daemon takes to find it out."""
        patient = httpx2.Timeout(None, connect=_CONNECT)
        return self.send("GET", path, timeout=patient).json()

    def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """The whole answer to a request; `FactoryError` when there is none, or a refusal."""
        with self.stream(method, path, **options) as response:
            response.read()
            return response

    @contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[httpx2.Response]:
        """The answer to a request, to be read as it comes."""
        try:
            with self.http.stream(method, self.url + path, **options) as response:
                if response.is_error or response.is_redirect:
                    response.read()
                    raise self._refusal(response)
                yield response
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise unreachable(self.url, error) from error

    def _refusal(self, response: httpx2.Response) -> FactoryError:
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            msg = f'The server "{self.url}" does not know who asks'
            hint = (
                'Name a file with a client\'s key and secret with "--client", and look at the clock'
            )
            return ServerError(msg, hint=hint)
        if response.headers.get("content-type", "").startswith(_PROBLEM):
            problem = response.json()
            hint = problem.get("hint")
            brief = problem["detail"].removesuffix(f". {hint}")
            return _REFUSALS.get(problem.get("code"), ServerError)(brief, hint=hint)
        msg = f'The server "{self.url}" answers with status "{response.status_code}"'
        return ServerError(msg, hint="Is this the address of an image factory?")


@contextmanager
def connect(config: Config) -> Iterator[Connection]:
    """A connection to the daemon that the configuration names; `ServerError` when there is none."""
    address = _address(config.server)
    with httpx2.Client(
        auth=_auth(config),
        verify=_trust(config, address),
        timeout=httpx2.Timeout(_TIMEOUT, connect=_CONNECT),
        headers={"Accept": _ACCEPT},
        trust_env=False,
    ) as http:
        connection = Connection(http=http, url=address.geturl())
        connection.check()
        yield connection


def unreachable(url: str, error: Exception) -> ServerError:
    """What went wrong on the way to a server, in one sentence."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            msg = f'The certificate of the server "{url}" is not trusted: {cause.verify_message}'
            hint = 'Name its certificate with "--ca", or its fingerprint with "--fingerprint"'
            return ServerError(msg, hint=hint)
        if isinstance(cause, OSError) and cause.strerror:
            return _unreachable(url, cause.strerror)
        cause = cause.__cause__ or cause.__context__
    timed_out = isinstance(error, httpx2.TimeoutException | TimeoutError)
    return _unreachable(url, "it does not answer" if timed_out else str(error) or "no connection")


def _unreachable(url: str, why: str) -> ServerError:
    msg = f'The server "{url}" cannot be reached: {why}'
    return ServerError(msg, hint="Is the daemon running, and is this its address?")


def _address(text: str) -> SplitResult:
    """The address of the API; without a path it is that of the API's root."""
    msg = f'The server "{text}" is not an address'
    wrong = ConfigError(msg, hint='Write it like "https://factory.example.org:8075"')
    try:
        address = urlsplit(text)
        complete = address.scheme in _PORTS and address.hostname and address.port != 0
    except ValueError as error:
        raise wrong from error
    if not complete:
        raise wrong
    if address.password is not None or address.username is not None:
        msg = f'The address of the server "{address.hostname}" holds a user or a password'
        raise ConfigError(msg, hint='Name a file with a client\'s key and secret with "--client"')
    return address._replace(path=address.path.rstrip("/") or _ROOT, query="", fragment="")


def _auth(config: Config) -> OAuth | None:
    known = clients.read(Path(config.client)) if config.client else config.clients
    for key, secret in known.items():
        return OAuth(key, secret)
    return None


def _trust(config: Config, address: SplitResult) -> ssl.SSLContext | bool:
    if address.scheme == "http":
        return False
    if config.fingerprint:
        return _pinned(config.fingerprint, address)
    try:
        return ssl.create_default_context(cafile=config.ca or None)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "it holds none in PEM"
        msg = f'The certificates in "{config.ca}" cannot be read: {reason}'
        raise ConfigError(msg) from error


def _pinned(fingerprint: str, address: SplitResult) -> ssl.SSLContext:
    """Trust in the certificate with this SHA-256 digest alone, whatever names it bears."""
    host, port = address.hostname or "", address.port or _PORTS[address.scheme]
    try:
        pem = ssl.get_server_certificate((host, port), timeout=_CONNECT)
    except OSError as error:
        raise unreachable(address.geturl(), error) from error
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    if digest != fingerprint.replace(":", "").strip().lower():
        shown = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)).upper()
        msg = (
            f'The certificate of the server "{address.geturl()}" has another fingerprint: "{shown}"'
        )
        raise ServerError(msg, hint="Compare it with the one in the log of the daemon")
    # The connections to come are held to these very bytes; nothing was sent over the one just closed.
    context = ssl.create_default_context(cadata=pem)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
