"""A server that refuses everything, and repeats in its refusal all that it was sent, as debugging proxies do."""

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import unquote

from fakes.services import listening

TOKEN: Final = "a-token+of/the=server"  #: what whoever logs in gets; a secret
_MOST: Final = 1 << 16  # bytes of a body that are repeated
_SOAP: Final = (
    '<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Body>{}</e:Body></e:Envelope>'
)
_FAULT: Final = (
    "<e:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{}</faultstring><detail>"
    '<RuntimeFaultFault xmlns="urn:vim25" xsi:type="RuntimeFault"/></detail></e:Fault>'
)
_VCENTER: Final = (
    '<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval>'
    '<rootFolder type="Folder">group-d1</rootFolder>'
    '<propertyCollector type="PropertyCollector">pc</propertyCollector>'
    '<sessionManager type="SessionManager">sm</sessionManager>'
    "</returnval></RetrieveServiceContentResponse>"
)
_XML: Final = {
    "ec2": "<Response><Errors><Error><Code>Odd</Code><Message>{}</Message></Error></Errors></Response>",
    "sts": "<ErrorResponse><Error><Code>Odd</Code><Message>{}</Message></Error></ErrorResponse>",
    "s3": "<Error><Code>Odd</Code><Message>{}</Message></Error>",
}


Given = tuple[int, str, dict[str, str]]


class _Echo(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    admits = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # every method there is
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        if self.admits and (given := self._admitted(body)):
            self._answer(*given)
            return
        # Messages quote the begin, so what is secret comes first.
        first = [self.headers.get(name, "") for name in ("Authorization", "X-Auth-Token", "Cookie")]
        content = body[:_MOST].decode(errors="replace")
        text = " ".join([*first, self.path, unquote(self.path), content, str(self.headers)])
        self._answer(*self._refusal(body, text.replace("\0", "")))

    def _admitted(self, body: bytes) -> Given | None:
        """The answer to a login, or to what is asked before it."""
        if b"RetrieveServiceContent" in body:
            return 200, _SOAP.format(_VCENTER), {"Content-Type": "text/xml"}
        if self.path.endswith("/auth/tokens"):
            user = {"id": "u", "name": "me", "domain": {"id": "d", "name": "Default"}}
            words = {"methods": ["password"], "user": user, "expires_at": "2100-01-01T00:00:00Z"}
            return 201, json.dumps({"token": words}), {"X-Subject-Token": TOKEN}
        if self.path.partition("?")[0].endswith("token"):
            given = {"access_token": TOKEN, "token": TOKEN, "expires_in": 3600}
            return 200, json.dumps(given), {}
        if self.path.startswith("/v2/web/") and "Bearer" not in str(self.headers):
            challenge = f'Bearer realm="http://{self.headers["Host"]}/token",service="registry"'
            return 401, "{}", {"WWW-Authenticate": challenge}
        return None

    def _refusal(self, body: bytes, text: str) -> Given:
        service = re.search(r"Credential=[^/]+/\d+/[^/]+/(\w+)/", str(self.headers))
        if service and service[1] in _XML:
            return 400, _XML[service[1]].format(html.escape(text)), {}
        if b"http://schemas.xmlsoap.org" in body:
            fault = _SOAP.format(_FAULT.format(html.escape(text)))
            return 500, fault, {"Content-Type": "text/xml"}
        words: dict[str, Any] = {"message": text, "code": "Odd"}
        return 400, json.dumps({"error": words, "errors": [words], "message": text}), {}

    def _answer(self, status: int, text: str, headers: dict[str, str]) -> None:
        content = text.encode()
        self.send_response(status)
        given = {"Content-Type": "application/json", **headers, "Connection": "close"}
        for name, value in {**given, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_words: Any) -> None:
        pass


class _Admitting(_Echo):
    admits = True


@contextmanager
def echoing(*, admits: bool) -> Iterator[str]:
    """The server's address. When it `admits`, logins succeed, and what follows is refused."""
    with listening(_Admitting if admits else _Echo) as address:
        yield address
