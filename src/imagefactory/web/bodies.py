"""Request bodies: bytes and a content type in, a mapping out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request

from imagefactory.core.errors import RequestError

LIMIT: Final = 16 << 20  #: bytes
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a request brought: JSON wraps its fields in the resource's name, a form is flat."""

    values: Mapping[str, Any]
    flat: bool

    def fields(self, noun: str) -> Mapping[str, Any]:
        """The fields of the resource `noun`; `RequestError` when there are none."""
        fields = self.values if self.flat else self.values.get(noun)
        if not isinstance(fields, Mapping) or not fields:
            msg = f"{noun} not found in request."
            raise RequestError(msg)
        return fields


async def read(request: Request) -> Body:
    """The body of a request; empty and flat where there is none."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT:
            msg = f"The request is larger than {LIMIT >> 20} MiB"
            raise RequestError(msg)
    kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
    return parse(bytes(body), kind)


def parse(body: bytes, kind: str) -> Body:
    """A body from bytes of this content type; `RequestError` says where they are wrong."""
    if not body.strip():
        return Body(values={}, flat=True)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        msg = f"The request is not UTF-8: byte {error.start} is wrong"
        raise RequestError(msg) from error
    if kind == "application/json":
        return Body(values=_json(text), flat=False)
    form: dict[str, Any] = dict(parse_qsl(text, keep_blank_values=True))
    if form.get("parameters", "").lstrip().startswith("{"):
        form["parameters"] = _json(form["parameters"])
    return Body(values=form, flat=True)


def _json(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        msg = f"The request is not JSON: {error}"
        raise RequestError(msg) from error
    except RecursionError as error:
        msg = "The request is nested too deeply"
        raise RequestError(msg) from error
    if not isinstance(content, dict):
        msg = "The request is not a JSON object"
        raise RequestError(msg)
    return content
