"""The OpenAPI 3.1 document of the application, made from its routes."""

import copy
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from imagefactory import __version__
from imagefactory.web import schemas
from imagefactory.web.bodies import FORM, JSON, MULTIPART, XMLS
from imagefactory.web.negotiation import OFFERED, PROBLEM, TEXT
from imagefactory.web.schemas import Schema

_PLACE: Final = re.compile(r"{(\w+)}")
_ABOUT: Final = """\
Builds system images from templates: a *base image* from a template, *target images* for kinds of
clouds from a base image, and *provider images* in cloud accounts from a target image.

Requests are forms, JSON or XML; JSON and XML wrap the fields in the resource's name, forms are flat.
Answers are JSON, or XML where the `Accept` header prefers it. Building takes a while: a POST answers
at once, and the image is polled, or followed by its events, until it is `COMPLETE` or `FAILED`.
"""
_SIGNED: Final = {
    "type": "http",
    "scheme": "OAuth",
    "description": "OAuth 1.0a without tokens (RFC 5849), HMAC-SHA1 or HMAC-SHA256",
}
_REASONS: Final[Mapping[int, str]] = {
    400: "The request is wrong; the answer says what",
    401: "The request is not signed by a known client",
    404: "There is no such thing",
    406: "No media type of the API suits the `Accept` header",
    408: "The request took too long to arrive",
    409: "The image is in a state that does not allow this",
    413: "The request is too large",
    416: "The body does not have this range",
    500: "An error of the server; its log has the details",
    501: "Not implemented",
    502: "Package lists could not be fetched or verified",
    504: "The packages were not resolved in time",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document; the same object each time."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app)
    return app.openapi_schema


def shown(name: str) -> dict[str, Any]:
    """The media types of an answer with this schema."""
    # An XML answer is the same tree; a schema for its text says no more than that.
    xml: Schema = {"type": "string", "description": f"`{name}` as an XML document"}
    return {media: {"schema": schemas.ref(name) if media == JSON else xml} for media in OFFERED}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route answers with."""
    content = {
        TEXT: {"schema": schemas.TEXT},
        PROBLEM: {"schema": schemas.ref("Problem")},
    }
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 408, 413, 500}):
        found[status] = {"description": _REASONS[status], "content": content}
    if 401 in found:
        header = {"schema": {"const": "OAuth"}}
        found[401] = {**found[401], "headers": {"WWW-Authenticate": header}}
    return found


def wrapped_body(noun: str, name: str, *, required: bool) -> dict[str, Any]:
    """A request body: JSON and XML wrap the fields of this schema in a noun, forms do not."""
    fields = schemas.ref(name)
    others = dict.fromkeys((*XMLS, FORM, MULTIPART), fields)
    return _body({JSON: schemas.record({noun: fields}), **others}, required=required)


def template_body() -> dict[str, Any]:
    """A request body that is, or has, a template."""
    fields = schemas.ref("TemplateRequest")
    tdl: Schema = {"type": "string", "description": "The template itself"}
    content = {JSON: fields, FORM: fields, MULTIPART: fields, **dict.fromkeys(XMLS, tdl)}
    return _body(content, required=True)


def _body(content: Mapping[str, Schema], *, required: bool) -> dict[str, Any]:
    media = {kind: {"schema": schema} for kind, schema in content.items()}
    return {"requestBody": {"required": required, "content": media}}


def _document(app: FastAPI) -> dict[str, Any]:
    open_to_all = app.state.site.config.no_oauth
    document = get_openapi(
        title="Image Factory",
        version=__version__,
        openapi_version="3.1.0",
        description=_ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=[_without_head(route) for route in app.routes if isinstance(route, APIRoute)],
    )
    for path, methods in document["paths"].items():
        for operation in methods.values():
            # FastAPI's own errors; ours are 400.
            operation["responses"].pop(str(int(HTTPStatus.UNPROCESSABLE_ENTITY)), None)
            _name_parents(path, operation)
            if open_to_all:
                operation.pop("security", None)
                operation["responses"].pop(str(int(HTTPStatus.UNAUTHORIZED)), None)
    document["components"] = {"schemas": schemas.components()}
    if not open_to_all:
        document["components"]["securitySchemes"] = {"oauth": _SIGNED}
    return document


def _name_parents(path: str, operation: dict[str, Any]) -> None:
    """Describe what the path has and no endpoint looks at by name: the ids of parents."""
    known = operation.setdefault("parameters", [])
    names = {parameter["name"] for parameter in known}
    known[:0] = [
        {"name": name, "in": "path", "required": True, "schema": schemas.TEXT}
        for name in _PLACE.findall(path)
        if name not in names
    ]


def _without_head(route: APIRoute) -> APIRoute:
    """HEAD is GET without a body, and would only be listed twice."""
    shown = copy.copy(route)
    shown.methods = (route.methods or set()) - {"HEAD"}
    return shown
