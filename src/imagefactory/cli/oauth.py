"""Signs the requests of our own client with OAuth 1.0a, bodies included."""

from collections.abc import Generator
from typing import Any

import httpx2
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, Client

from imagefactory.core.secret import Secret


class OAuth(httpx2.Auth):
    """A consumer key and its secret; the hash of a body that is no form is signed, too."""

    requires_request_body = True

    def __init__(self, key: str, secret: Secret) -> None:
        self._key = key
        self._secret = secret

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the `Authorization` header to a request."""
        client = Client(
            self._key,
            client_secret=self._secret.reveal(),
            signature_method=SIGNATURE_HMAC_SHA256,
        )
        kind = request.headers.get("Content-Type")
        headers = {} if kind is None else {"Content-Type": kind}
        body = request.content.decode() if request.content else None
        method: Any = request.method  # the library's types know some methods only
        _, signed, _ = client.sign(str(request.url), method, body, headers)
        request.headers["Authorization"] = signed["Authorization"]
        yield request
