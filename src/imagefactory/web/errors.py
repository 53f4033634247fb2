"""The one place where exceptions become HTTP answers."""

import logging
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException

from imagefactory.core.errors import Conflict, FactoryError, NotFound, RequestError

log = logging.getLogger(__name__)

#: most specific first
_STATUS: Final[Mapping[type[FactoryError], HTTPStatus]] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    RequestError: HTTPStatus.BAD_REQUEST,
}


def install(app: FastAPI) -> None:
    """Make every error of this application one plain sentence."""
    app.add_exception_handler(FactoryError, _known)
    app.add_exception_handler(HTTPException, _routing)
    app.add_exception_handler(Exception, _unknown)


def sentence(error: FactoryError) -> str:
    """What happened and, where there is something, what to do."""
    return f"{error.brief}. {error.hint}" if error.hint else error.brief


def _known(_request: Request, error: Exception) -> Response:
    assert isinstance(error, FactoryError)  # noqa: S101 - registered for this class
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return PlainTextResponse(sentence(error), status)
    return _unknown(_request, error)


def _routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            text = f'There is nothing at "{request.url.path}"'
        case HTTPStatus.METHOD_NOT_ALLOWED:
            text = f'"{request.url.path}" has no method "{request.method}"'
        case _:
            text = error.detail
    return PlainTextResponse(text, error.status_code, headers=error.headers)


def _unknown(request: Request, error: Exception) -> Response:
    reference = uuid.uuid4().hex[:8]
    log.error("Error %s in %s %s", reference, request.method, request.url.path, exc_info=error)
    text = f'Internal error "{reference}"; the log of the factory has the details'
    return PlainTextResponse(text, HTTPStatus.INTERNAL_SERVER_ERROR)
