"""Request bodies: bytes and a content type in, a mapping out."""

import asyncio
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.web import multipart, xml

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"
XMLS: Final = ("application/xml", "text/xml")

QUICK: Final = 16 << 10  #: bytes that are read faster than a thread is found for them

_MOST_FIELDS: Final = 1000
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a request brought: JSON and XML wrap the fields in the resource's name, a form is flat."""

    values: Mapping[str, Any]
    flat: bool

    def fields(self, noun: str) -> Mapping[str, Any]:
        """The fields of the resource `noun`; `RequestError` when there are none."""
        fields = self.values if self.flat else self.values.get(noun)
        if not isinstance(fields, Mapping) or not fields:
            msg = f"{noun} not found in request."
            raise RequestError(msg)
        return fields

    def any_fields(self) -> Mapping[str, Any]:
        """The fields, wrapped or not, whatever the wrapper is called; none is no mistake."""
        match list(self.values.values()):
            case [Mapping() as fields] if not self.flat:
                return fields
        return self.values


async def receive(request: Request) -> bytes:
    """The whole body, if it is no longer and takes no longer than the configuration allows.

    It may be asked for again.
    """
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        return b""
    before: bytes | None = getattr(request.state, "received", None)
    if before is not None:
        return before
    config: Config = request.app.state.site.config
    try:
        async with asyncio.timeout(config.request_timeout):
            received = await _received(request, config.max_body)
    except TimeoutError as error:
        msg = f"The request was not complete after {config.request_timeout} seconds"
        raise HTTPException(
            HTTPStatus.REQUEST_TIMEOUT, msg, headers={"Connection": "close"}
        ) from error
    request.state.received = received
    return received


async def _received(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> HTTPException:
    msg = f"The request is larger than {limit} bytes"
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, msg, headers={"Connection": "close"})


Received = Annotated[bytes, Depends(receive)]


async def read(request: Request, body: Received) -> Body:
    """The body of a request; empty and flat where there is none."""
    content_type = request.headers.get("content-type", FORM)
    if len(body) < QUICK:
        return parse(body, content_type)
    return await run_in_threadpool(parse, body, content_type)


Parsed = Annotated[Body, Depends(read)]


def parse(body: bytes, content_type: str) -> Body:
    """A body from bytes of this content type; `RequestError` says where they are wrong."""
    if not body.strip():
        return Body(values={}, flat=True)
    kind = content_type.strip().lower()
    if kind.startswith(JSON):
        return Body(values=_json(_text(body), "request"), flat=False)
    if kind.startswith(XMLS):
        return Body(values=xml.parse(body), flat=False)
    if MULTIPART in kind:
        return Body(values=_form(multipart.fields(body, content_type)), flat=True)
    # Anything else is read as a form and looked up under a wrapper, which a form does not have.
    return Body(values=_form(_urlencoded(body)), flat=FORM in kind)


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"The request is not UTF-8: byte {error.start} is wrong"
        raise RequestError(msg) from error


def _urlencoded(body: bytes) -> dict[str, str]:
    text = _text(body)
    if text.count("&") >= _MOST_FIELDS:
        msg = f"The form has more than {_MOST_FIELDS} fields"
        raise RequestError(msg)
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError as error:
        msg = "The form has an escape that is not UTF-8"
        raise RequestError(msg) from error


def _form(texts: Mapping[str, str]) -> dict[str, Any]:
    form: dict[str, Any] = dict(texts)
    if form.get("parameters", "").lstrip().startswith("{"):
        form["parameters"] = _json(form["parameters"], 'value of "parameters"')
    return form


def _json(text: str, what: str) -> dict[str, Any]:
    try:
        content = json.loads(text, parse_constant=_no_number, parse_float=_number)
    except ValueError as error:
        msg = f"The {what} is not JSON: {error}"
        raise RequestError(msg) from error
    except RecursionError as error:
        msg = f"The {what} is nested too deeply"
        raise RequestError(msg) from error
    if not isinstance(content, dict):
        msg = f"The {what} is not a JSON object"
        raise RequestError(msg)
    if _SURROGATE.search(text):
        _refuse_surrogates(content, what)
    return content


def _number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    msg = f'"{text[:40]}" is no number that can be kept'
    raise ValueError(msg)


def _refuse_surrogates(content: dict[str, Any], what: str) -> None:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        msg = f"The {what} has half of a character"
        raise RequestError(msg, hint="Send both surrogates, or UTF-8") from error
