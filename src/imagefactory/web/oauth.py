"""Two-legged OAuth 1.0a: who signed a request, or 401 (RFC 5849; REST specification, 2)."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from oauthlib.oauth1 import RequestValidator, SignatureOnlyEndpoint
from starlette.exceptions import HTTPException

from imagefactory.core.secret import Secret
from imagefactory.web.bodies import FORM, QUICK, receive
from imagefactory.web.site import Site, site_of

_METHODS: Final = ("HMAC-SHA1", "HMAC-SHA256")
_WINDOW: Final = 300  #: seconds, both ways
_LONGEST: Final = 255  #: characters of a key or nonce
_MOST_FIELDS: Final = 1000
_DURATION: Final = 0.1  #: seconds, or a multiple: what every refusal takes
_READS: Final = frozenset({"GET", "HEAD"})
#: what the library raises for a header, query or form that it cannot take apart
_GARBAGE: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError)


class Refused(Exception):
    """The request is not signed by a client of ours; the message is what the client is told."""


class Validator(RequestValidator):
    """Answers the library's questions about clients. Nonces are ours: they count once a signature is good."""

    def __init__(self, clients: Mapping[str, Secret], *, methods: tuple[str, ...]) -> None:
        super().__init__()
        self._clients = clients
        self._methods = methods
        self._nobody = secrets.token_urlsafe(32)

    @property
    def allowed_signature_methods(self) -> tuple[str, ...]:
        return self._methods

    @property
    def timestamp_lifetime(self) -> int:
        return _WINDOW

    @property
    def enforce_ssl(self) -> bool:
        return False

    @property
    def dummy_client(self) -> str:
        return ""

    def check_client_key(self, client_key: str) -> bool:
        return 0 < len(client_key) <= _LONGEST

    def check_nonce(self, nonce: str) -> bool:
        return 0 < len(nonce) <= _LONGEST

    def validate_client_key(self, client_key: str, request: Any) -> bool:  # noqa: ARG002
        return client_key in self._clients

    def get_client_secret(self, client_key: str, request: Any) -> str:  # noqa: ARG002
        secret = self._clients.get(client_key)
        return self._nobody if secret is None else secret.reveal()

    def get_access_token_secret(self, client_key: str, token: str, request: Any) -> str:  # noqa: ARG002
        return (
            ""  # two legs: there are no tokens, and one that is sent is signed like anything else
        )

    def validate_timestamp_and_nonce(self, *_arguments: Any, **_more: Any) -> bool:
        return True


async def verify(site: Site, request: Request, body: bytes) -> str:
    """The key of the client who signed this request, whose nonce is used up by that. `Refused`."""
    if "authorization" not in request.headers:
        msg = "Unauthorized: missing authorization"
        raise Refused(msg)
    if len(body) < QUICK:
        signed = _signed(site, request, body)
    else:
        signed = await run_in_threadpool(_signed, site, request, body)
    if signed is None or not await _is_fresh(site, signed):
        msg = "Unauthorized: authorization failed"
        raise Refused(msg)
    client: str = signed.client_key
    return client


async def authenticate(request: Request) -> None:
    """Let the request pass if a client has signed it; 401 otherwise, after the same time whatever is wrong."""
    request.state.client = ""
    site = await site_of(request)
    if not site.config.no_oauth:
        await _authenticate(site, request, await receive(request))
    await site.stocked()


async def authenticate_reader(request: Request) -> None:
    """The same, but a reader without any authorization passes where the configuration lets him.

    He is a stranger, from whom passwords in templates are kept.
    """
    site = await site_of(request)
    stranger = (
        site.config.open_reads
        and request.method in _READS
        and "authorization" not in request.headers
    )
    request.state.stranger = stranger
    if stranger:
        request.state.client = ""
        await site.stocked()
        return
    await authenticate(request)


def client_of(request: Request) -> str:
    """The key of the client who signed a request; empty when nobody had to."""
    client: str = getattr(request.state, "client", "")
    return client


def is_stranger(request: Request) -> bool:
    """Whether somebody reads without a signature because reads are open."""
    return getattr(request.state, "stranger", False)


async def _authenticate(site: Site, request: Request, body: bytes) -> None:
    clock = asyncio.get_running_loop().time
    started = clock()
    try:
        request.state.client = await verify(site, request, body)
    except Refused as refusal:
        taken = clock() - started
        await asyncio.sleep(-taken % _DURATION)
        headers = {"WWW-Authenticate": "OAuth"}
        raise HTTPException(HTTPStatus.UNAUTHORIZED, str(refusal), headers=headers) from refusal


def _signed(site: Site, request: Request, body: bytes) -> Any:
    """The library's view of a request with a good signature, else None."""
    try:
        return _checked(site, request, body)
    except _GARBAGE:
        return None


def _checked(site: Site, request: Request, body: bytes) -> Any:
    authorization = request.headers["authorization"]
    if not authorization.lower().startswith("oauth "):
        return None
    content_type = request.headers.get("content-type", "")
    form = body.decode() if FORM in content_type.lower() else ""
    if max(form.count("&"), request.scope["query_string"].count(b"&")) >= _MOST_FIELDS:
        return None
    url = site.signed_url(request)
    headers = {"Authorization": authorization}
    if form:
        headers["Content-Type"] = FORM
    endpoint = SignatureOnlyEndpoint(Validator(site.clients, methods=_methods(site, url)))
    good, signed = endpoint.validate_request(url, request.method, form, headers)
    return signed if good and _is_body(signed, body) else None


def _methods(site: Site, url: str) -> tuple[str, ...]:
    plain = site.config.oauth_plaintext and url.startswith("https:")
    return (*_METHODS, "PLAINTEXT") if plain else _METHODS


def _is_body(signed: Any, body: bytes) -> bool:
    """Whether the body is the one that was signed; a signature without a hash says nothing about it."""
    sent = signed.oauth_params.get("oauth_body_hash")
    if sent is None:
        return True
    try:
        given = base64.b64decode(sent, validate=True)
    except binascii.Error:
        return False
    # The extension knows SHA-1 alone, which libraries send under any method; some use the method's.
    digests = [hashlib.sha1(body, usedforsecurity=False).digest()]
    if signed.signature_method == "HMAC-SHA256":
        digests.append(hashlib.sha256(body).digest())
    return any([hmac.compare_digest(given, digest) for digest in digests])  # noqa: C419 - all, always


async def _is_fresh(site: Site, signed: Any) -> bool:
    until = int(signed.timestamp) + _WINDOW + 1
    use = site.nonces.use(signed.client_key, signed.nonce, until=until)
    return await asyncio.wrap_future(use)
