"""Says whether a template is valid, and in which lines it is not, without building anything."""

from typing import Any

from fastapi import Request, Response

from imagefactory.core.errors import RequestError, TemplateError
from imagefactory.core.template import parse
from imagefactory.web import bodies, xml
from imagefactory.web.negotiation import Negotiated


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
