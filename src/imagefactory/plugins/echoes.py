"""Takes out of what a server says what no message may show: some repeat the request that they refuse."""

import html
import json
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus

import httpx2

from imagefactory.core.secret import REDACTED, Secret

_HEADERS: Final = ("authorization", "cookie", "x-auth-token")
_SHORTEST: Final = 8  # characters of a word of a header that may be secret; "Bearer" is none
_FIELDS: Final = frozenset({"assertion", "client_secret", "password", "token"})
_SIGNATURE: Final = "sig"  # in the address of a shared access signature
_FORM: Final = "application/x-www-form-urlencoded"


def redacted(said: str, secrets: Iterable[Secret]) -> str:
    """The text without these, also as JSON, HTML, and addresses write them."""
    forms = {form for secret in secrets if secret for form in _forms(secret.reveal())}
    for form in sorted(forms, key=len, reverse=True):
        said = said.replace(form, REDACTED)
    return said


def sent(request: httpx2.Request) -> Iterator[Secret]:
    """What in a request is the right to do something: tokens, signatures, and secrets in a form."""
    for name in _HEADERS:
        words = request.headers.get(name, "").split()
        yield from (Secret(word) for word in words if len(word) >= _SHORTEST)
    pairs = parse_qsl(request.url.query.decode())
    yield from (Secret(value) for key, value in pairs if key == _SIGNATURE)
    if request.headers.get("content-type", "").startswith(_FORM):
        form = parse_qsl(request.content.decode())
        yield from (Secret(value) for key, value in form if key in _FIELDS)


def _forms(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text)[1:-1]
    yield html.escape(text)
    yield quote(text, safe="")
    yield quote_plus(text)
