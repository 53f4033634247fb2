"""Puts a small message to an address that a client named, and only where one may be named."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin

import httpx2

from imagefactory.core.errors import FetchError
from imagefactory.engine.addresses import refusal
from imagefactory.engine.fetch import AGENT, Reach, basic
from imagefactory.engine.mirrors import shown

_REDIRECTS: Final = 5
_AGAIN: Final = frozenset({301, 302, 307, 308})  #: the same request is to go elsewhere
_REFUSALS: Final = "A receiver's address is global, or in a network that the operator lists"


class Undelivered(Exception):
    """The message has not arrived; another attempt may have more luck. Its text says why."""


def put(url: str, body: bytes, *, headers: Mapping[str, str], reach: Reach, limit: float) -> None:
    """PUT a body; nothing of the answer but its status is looked at.

    Every address on the way is looked up, judged and then connected to, so that a name cannot change its
    mind in between. Raises `Undelivered`, also when `limit` seconds have passed, or `FetchError` for
    an address that no attempt will ever be made to.
    """
    ends = time.monotonic() + limit
    for _ in range(_REDIRECTS + 1):
        target = _target(url)
        address = _judged(url, target, reach)
        left = ends - time.monotonic()
        try:
            status, location = asyncio.run(_ask(target, address, body, headers, left))
        except TimeoutError as error:
            msg = f"it took longer than {limit:.0f} s"
            raise Undelivered(msg) from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            msg = f"the connection failed ({error})"
            raise Undelivered(msg) from error
        if status in _AGAIN and location:
            url = urljoin(url, location)
            continue
        if status // 100 == 2:
            return
        msg = f"it answered {status}"
        raise Undelivered(msg)
    msg = f"it redirected more than {_REDIRECTS} times"
    raise Undelivered(msg)


def _target(url: str) -> httpx2.URL:
    try:
        target = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        msg = f'The callback "{shown(url)}" is not a URL'
        raise FetchError(msg) from error
    if target.scheme not in {"http", "https"} or not target.host:
        msg = f'The callback "{shown(url)}" is not an http or https URL'
        raise FetchError(msg)
    return target


def _judged(url: str, target: httpx2.URL, reach: Reach) -> str:
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        addresses = reach.look_up(target.host, port)
    except (OSError, UnicodeError) as error:
        msg = f'the host "{target.host}" is not known'
        raise Undelivered(msg) from error
    for address in addresses:
        if reason := refusal(address, allowed=reach.allowed):
            msg = f'The callback "{shown(url)}" leads to {reason}, which is not called'
            raise FetchError(msg, hint=_REFUSALS)
    return str(addresses[0])


async def _ask(
    target: httpx2.URL, address: str, body: bytes, headers: Mapping[str, str], left: float
) -> tuple[int, str | None]:
    sent = {**headers, "User-Agent": AGENT}
    if target.userinfo:
        sent["Authorization"] = basic(target)
        target = target.copy_with(userinfo=None)
    # The time limit is for all of it: a receiver that answers a byte at a time is as good as dead.
    async with asyncio.timeout(max(left, 0)), httpx2.AsyncClient(trust_env=False) as client:
        request = client.build_request(
            "PUT",
            target.copy_with(host=address),
            content=body,
            headers={**sent, "Host": target.netloc.decode("ascii")},
            extensions={"sni_hostname": target.host},
        )
        response = await client.send(request, stream=True)
        await response.aclose()
        return response.status_code, response.headers.get("location")
