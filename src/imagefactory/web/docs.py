"""The documentation of the API: the OpenAPI document, and a page that shows it without any network."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from imagefactory.web import openapi

_STYLE: Final = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid; text-transform: capitalize; }
summary { cursor: pointer; padding: .3rem 0; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .7rem; background: color-mix(in srgb, currentColor 8%, transparent); }
details > div { margin: 0 0 1.5rem 1.2rem; }
table { border-collapse: collapse; }
td { padding: .1rem 1.2rem .1rem 0; vertical-align: top; }
b.method { display: inline-block; min-width: 4.5rem; }
summary span { display: block; margin-left: 5.7rem; opacity: .75; }
summary code { overflow-wrap: anywhere; }
details[open] > summary span { display: none; }
:root { color-scheme: light dark; }
"""
#: the page runs nothing and loads nothing
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def document(request: Request) -> Response:
    """This document."""
    return JSONResponse(openapi.describe(request.app))


def page(request: Request) -> Response:
    """The documentation as a page, for people."""
    html = "".join(_page(openapi.describe(request.app)))
    return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY})


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
    yield f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
    yield f"<h1>{escape(title)}</h1>"
    yield "".join(f"<p>{_marked(part)}</p>" for part in info["description"].split("\n\n"))
    yield "<p>The same for programs: <a href=openapi.json>openapi.json</a> (OpenAPI 3.1)</p>"
    for tag, operations in _by_tag(document).items():
        yield f"<h2>{escape(tag.replace('_', ' '))}</h2>"
        for method, path, operation in operations:
            yield from _operation(method, path, operation)
    yield "<h2>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        text = escape(json.dumps(schema, indent=2))
        yield f"<details><summary><code>{escape(name)}</code></summary>"
        yield f"<pre id='{escape(name)}'>{text}</pre></details>"  # a link to it opens what is around
    yield "</html>"


def _marked(text: str) -> str:
    """Text of the document as HTML: Markdown, as far as it is used there."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)


def _by_tag(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Mapping[str, Any]]]]:
    tags: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return tags


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    about = operation.get("description", "")
    yield f"<details><summary><b class=method>{method}</b> <code>{escape(path)}</code>"
    yield f"<span>{_marked(about.split('. ')[0].rstrip('.'))}</span></summary>"
    signed = " Only for signed requests." if operation.get("security") else ""
    yield f"<div><p>{_marked(about)}{signed}</p>"
    if parameters := operation.get("parameters"):
        rows = "".join(_parameter(parameter) for parameter in parameters)
        yield f"<table>{rows}</table>"
    if body := operation.get("requestBody"):
        yield f"<p>Request:</p>{_media(body['content'])}"
    yield "<p>Answers:</p><table>"
    for status, answer in operation["responses"].items():
        description = _marked(answer["description"])
        yield f"<tr><td>{status}<td>{description}<td>{_media(answer.get('content', {}))}"
    yield "</table></div></details>"


def _parameter(parameter: Mapping[str, Any]) -> str:
    name, where = escape(parameter["name"]), parameter["in"]
    return f"<tr><td><code>{name}</code><td>{where}<td>{_marked(parameter.get('description', ''))}"


def _media(content: Mapping[str, Any]) -> str:
    lines = []
    for media, entry in content.items():
        name = entry.get("schema", {}).get("$ref", "").rpartition("/")[2]
        link = f" <a href='#{escape(name)}'>{escape(name)}</a>" if name else ""
        lines.append(f"<code>{escape(media)}</code>{link}")
    return "<br>".join(lines)
