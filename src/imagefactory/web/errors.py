"""The one place where exceptions become HTTP answers."""

import logging
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from imagefactory.core.errors import Conflict, FactoryError, NotFound, RequestError
from imagefactory.web.negotiation import PROBLEM, accepted, choose_for_error
from imagefactory.web.site import ROOT

log: Final = logging.getLogger(__name__)

#: most specific first
_STATUS: Final[Mapping[type[FactoryError], HTTPStatus]] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    RequestError: HTTPStatus.BAD_REQUEST,
}
_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_PARENTS: Final = frozenset({"base_images", "target_images"})


def install(app: FastAPI) -> None:
    """Make every error of this application one sentence, or a problem document (RFC 9457)."""
    app.add_exception_handler(FactoryError, _known)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unknown)


def answer(request: Request, error: HTTPException | FactoryError) -> Response:
    """What the client is told of a request that was refused or could not be answered."""
    return _http(request, error) if isinstance(error, HTTPException) else _known(request, error)


def sentence(error: FactoryError) -> str:
    """What happened and, where there is something, what to do."""
    return f"{error.brief}. {error.hint}" if error.hint else error.brief


def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, FactoryError)  # noqa: S101 - registered for this class
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return _answer(
                request, status, sentence(error), more={"code": error.code, "hint": error.hint}
            )
    return _unknown(request, error)


def _http(request: Request, error: Exception) -> Response:
    """What the web side refuses itself, or the router."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    text, headers = error.detail, dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            text = _nothing_at(request.url.path)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            text = f'"{request.url.path}" has no method "{request.method}"'
            headers["Allow"] = ", ".join(_allowed(request))
    return _answer(request, HTTPStatus(error.status_code), text, headers=headers)


def _invalid(request: Request, error: Exception) -> Response:
    """A parameter in the address or a header that is not what it should be."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    first = error.errors()[0]
    name = first["loc"][-1]
    text = f'The parameter "{name}" is wrong: {first["msg"]}'
    return _answer(request, HTTPStatus.BAD_REQUEST, text, more={"code": RequestError.code})


def _unknown(request: Request, error: Exception) -> Response:
    reference = uuid.uuid4().hex[:8]
    log.error("Error %s in %s %s", reference, request.method, request.url.path, exc_info=error)
    text = f'Internal error "{reference}"; the log of the factory has the details'
    return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, text)


def _answer(
    request: Request,
    status: HTTPStatus,
    text: str,
    *,
    more: Mapping[str, str | None] = MappingProxyType({}),
    headers: Mapping[str, str] | None = None,
) -> Response:
    if choose_for_error(accepted(request)) != PROBLEM:
        return PlainTextResponse(text, status, headers=headers)
    problem: dict[str, str | int] = {"title": status.phrase, "status": status, "detail": text}
    problem |= {key: value for key, value in more.items() if value is not None}
    return JSONResponse(problem, status, headers=headers, media_type=PROBLEM)


def _allowed(request: Request) -> list[str]:
    """All methods that some route has for this path."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _nothing_at(path: str) -> str:
    """The original's words for a collection that does not exist, else ours."""
    words = path.removeprefix(f"{ROOT}/").split("/")
    while len(words) > 2 and words[0] in _PARENTS:
        words = words[2:]
    if path.startswith(f"{ROOT}/") and len(words) in {1, 2} and all(words):
        return f"{words[0]} not found"
    return f'There is nothing at "{path}"'
