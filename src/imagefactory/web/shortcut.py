"""The way of what clients poll past the table of routes, in which finding one takes longer than the answer.

The endpoints, the guards and the errors are the same.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from imagefactory.core.errors import FactoryError
from imagefactory.core.images import KINDS
from imagefactory.web import errors
from imagefactory.web.images import Collection
from imagefactory.web.negotiation import Answer, negotiate
from imagefactory.web.oauth import authenticate_reader
from imagefactory.web.site import ROOT, Site, site_of

_POLLED: Final = re.compile(rf"{ROOT}/([a-z]+_image)s(?:/([0-9a-f-]{{36}}))?")
_LIMIT: Final = re.compile(rb"(?:limit=([1-9][0-9]{0,3}))?")
_COLLECTIONS: Final = {kind.noun: Collection(kind=kind) for kind in KINDS.values()}

Endpoint = Callable[[Site, Request, Answer], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class _Route:
    """A route, as those who count requests know it."""

    path: str


class Shortcut:
    """An application that answers some requests itself: an image by its id, and lists with no more than a limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification, 3.0."""
        endpoint = _endpoint(scope) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        response = await _answered(Request(scope, receive), endpoint)
        await response(scope, receive, send)


def _endpoint(scope: Scope) -> Endpoint | None:
    """Where a request leads that takes the shortcut."""
    found = _POLLED.fullmatch(scope["path"]) if scope["method"] in {"GET", "HEAD"} else None
    if found is None:
        return None
    noun, image_id = found.groups()
    collection = _COLLECTIONS.get(noun)
    query: bytes = scope["query_string"]
    if collection is None:
        return None
    path = f"{ROOT}/{noun}s"
    if image_id is not None:
        scope["route"] = _Route(path=f"{path}/{{image_id}}")
        return lambda site, request, answer: collection.show(site, request, answer, image_id)
    limit = _LIMIT.fullmatch(query)
    if limit is None:
        return None
    scope["route"] = _Route(path=path)
    most = int(limit[1]) if limit[1] else None
    return lambda site, request, answer: collection.list(site, request, answer, limit=most)


async def _answered(request: Request, endpoint: Endpoint) -> Response:
    try:
        await authenticate_reader(request)
        answer = await negotiate(request)
        return await endpoint(await site_of(request), request, answer)
    except (HTTPException, FactoryError) as error:
        return errors.answer(request, error)
