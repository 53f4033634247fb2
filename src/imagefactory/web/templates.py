"""Says whether a template is valid, and in which lines it is not, without building anything."""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool

from imagefactory.builds.resolution import Resolutions
from imagefactory.core.errors import FactoryError, RequestError, TemplateError
from imagefactory.core.lock import Lock
from imagefactory.core.template import parse
from imagefactory.web import bodies, xml
from imagefactory.web.errors import sentence
from imagefactory.web.negotiation import Negotiated
from imagefactory.web.site import Here

_PATIENCE: Final = 120  #: seconds until an answer has to be there
_LOOK: Final = 0.2  #: seconds between looks for it


def check(request: Request, answer: Negotiated, body: bodies.Received) -> Response:
    """Checks a template against TDL; the body is the template in XML, or has it in the field `template`."""
    text = _template(body, request.headers.get("content-type", bodies.FORM))
    faults: list[dict[str, Any]] = []
    try:
        name = parse(text).name
    except TemplateError as error:
        name = None
        found = error.faults or ((1, error.brief),)
        faults = [{"line": line, "message": message} for line, message in found]
    return answer({"template": {"valid": not faults, "name": name, "faults": faults}})


async def lock(request: Request, site: Here, body: bodies.Received) -> Response:
    """Resolves a template to its exact packages, which takes a while; nothing is built or installed."""
    content_type = request.headers.get("content-type", bodies.FORM)
    text = _template(body, content_type)
    fields = {} if isinstance(text, bytes) else bodies.parse(body, content_type).values
    parameters = fields.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        msg = 'The value of "parameters" is not an object'
        raise RequestError(msg)
    try:
        template = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        msg = "The template is not UTF-8"
        raise RequestError(msg, hint='Send it in the field "template" of a JSON object') from error
    found = await _resolved(Resolutions(workshop=site.factory.workshop), template, parameters)
    return Response(found.dumps(), media_type="application/json")


async def _resolved(resolutions: Resolutions, template: str, parameters: Mapping[str, Any]) -> Lock:
    """What a worker finds, without a thread that waits for it."""
    ref = await run_in_threadpool(resolutions.ask, template, parameters)
    ends = time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < ends:
            found = await run_in_threadpool(resolutions.answer, ref)
            if found is not None:
                return found
            await asyncio.sleep(_LOOK)
    except RequestError:
        raise
    except FactoryError as error:
        raise HTTPException(HTTPStatus.BAD_GATEWAY, sentence(error)) from error
    finally:
        await run_in_threadpool(resolutions.forget, ref)
    msg = f"The template was not resolved within {_PATIENCE} seconds"
    raise HTTPException(HTTPStatus.GATEWAY_TIMEOUT, msg)


def _template(body: bytes, content_type: str) -> str | bytes:
    if content_type.strip().lower().startswith(bodies.XMLS):
        word = xml.root_word(body)
        if word in {"template", None}:
            return body  # also what is no XML at all: the answer then says so
    fields = bodies.parse(body, content_type).values
    template = fields.get("template")
    if template is None:
        msg = "template not found in request."
        raise RequestError(msg)
    if not isinstance(template, str):
        msg = 'The value of "template" is not a text'
        raise RequestError(msg)
    return template
