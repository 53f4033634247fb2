"""Two-legged OAuth 1.0a: who signed a request, or 401 (RFC 5849; REST specification, 2)."""

import asyncio
from http import HTTPStatus
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from imagefactory.store.nonces import Use
from imagefactory.web.bodies import FORM, QUICK, receive
from imagefactory.web.signatures import WINDOW, Sent, Signed
from imagefactory.web.site import Site, site_of

_MOST_FIELDS: Final = 1000
_DURATION: Final = 0.1  #: seconds, or a multiple: what every refusal takes
_READS: Final = frozenset({"GET", "HEAD"})


class Refused(Exception):
    """The request is not signed by a client of ours; the message is what the client is told."""


async def verify(site: Site, request: Request, body: bytes) -> str:
    """The key of the client who signed this request, whose nonce is used up by that. `Refused`."""
    if "authorization" not in request.headers:
        msg = "Unauthorized: missing authorization"
        raise Refused(msg)
    if len(body) < QUICK:
        signed = _signed(site, request, body)
    else:
        signed = await run_in_threadpool(_signed, site, request, body)
    # A nonce counts once the signature is good.
    if signed is None or not await site.nonces.use(_use(signed)):
        msg = "Unauthorized: authorization failed"
        raise Refused(msg)
    return signed.client


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


def _signed(site: Site, request: Request, body: bytes) -> Signed | None:
    """The good signature of a request."""
    try:
        form = body.decode() if FORM in request.headers.get("content-type", "").lower() else ""
    except UnicodeDecodeError:
        return None
    if max(form.count("&"), request.scope["query_string"].count(b"&")) >= _MOST_FIELDS:
        return None
    sent = Sent(
        method=request.method,
        url=site.signed_url(request),
        authorization=request.headers["authorization"],
        form=form,
        body=body,
    )
    return site.signatures.check(sent)


def _use(signed: Signed) -> Use:
    return Use(client=signed.client, nonce=signed.nonce, expires=signed.timestamp + WINDOW + 1)
