"""OAuth 1.0a signatures of requests (RFC 5849, 3): what a header claims, and whether that is so.

The library takes requests apart and computes; what a server has to ask for is said here. Its own endpoint
takes every request apart three times over, which clients who poll would wait for.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from oauthlib.oauth1.rfc5849 import signature

from imagefactory.core.secret import Secret

WINDOW: Final = 300  #: seconds, both ways

_LONGEST: Final = 255  #: characters of a key or nonce
_DIGITS: Final = 10  #: of a timestamp
_CHECKS: Final[Mapping[str, Any]] = MappingProxyType(
    {"HMAC-SHA1": signature.verify_hmac_sha1, "HMAC-SHA256": signature.verify_hmac_sha256}
)
_PLAINTEXT: Final[Mapping[str, Any]] = MappingProxyType({"PLAINTEXT": signature.verify_plaintext})
_NEEDED: Final = frozenset(
    f"oauth_{name}"
    for name in ("consumer_key", "nonce", "signature", "signature_method", "timestamp")
)
#: what the library raises for a header, query or form that it cannot take apart
_GARBAGE: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError)

Parameters = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What of a request a signature covers."""

    method: str
    url: str  #: with its query, as the client sees it
    authorization: str  #: the header
    form: str = ""  #: the body, if it is one
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A signature that is good, but for its nonce."""

    client: str
    nonce: str
    timestamp: int


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """A request as the library's checks look at it."""

    http_method: str
    uri: str
    params: Parameters
    signature: str


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """Checks signatures of these clients."""

    clients: Mapping[str, Secret]
    plaintext: bool = False  #: whether that will do over TLS

    def check(self, sent: Sent) -> Signed | None:
        """Who has signed this, None for nobody; it takes as long for who is unknown as for others."""
        try:
            return self._checked(sent)
        except _GARBAGE:
            return None

    def _checked(self, sent: Sent) -> Signed | None:
        if not sent.authorization.lower().startswith("oauth "):
            return None
        url, _, query = sent.url.partition("?")
        header = signature.collect_parameters(
            headers={"Authorization": sent.authorization}, exclude_oauth_signature=False
        )
        others = signature.collect_parameters(query, sent.form) if query or sent.form else []
        claimed = {name: value for name, value in header if name.startswith("oauth_")}
        if any(name.startswith("oauth_") for name, _ in others):
            return None
        check = self._methods(sent.url).get(claimed.get("oauth_signature_method", ""))
        if check is None or not _is_complete(claimed):
            return None
        key = claimed["oauth_consumer_key"]
        claim = _Claim(
            http_method=sent.method,
            uri=url,
            params=[pair for pair in (*header, *others) if pair[0] != "oauth_signature"],
            signature=claimed["oauth_signature"],
        )
        # Two legs: there are no tokens, and one that is sent is signed like anything else.
        good = check(claim, self.clients.get(key, self._nobody).reveal(), "")
        if not good or key not in self.clients or not _is_body(claimed, sent.body):
            return None
        timestamp = int(claimed["oauth_timestamp"])
        return Signed(client=key, nonce=claimed["oauth_nonce"], timestamp=timestamp)

    def _methods(self, url: str) -> Mapping[str, Any]:
        plain = self.plaintext and url.startswith("https:")
        return {**_CHECKS, **_PLAINTEXT} if plain else _CHECKS

    @cached_property
    def _nobody(self) -> Secret:
        return Secret(secrets.token_urlsafe(32))


def _is_complete(claimed: Mapping[str, str]) -> bool:
    """Whether all is there that has to be, and looks as it should."""
    if not all(claimed.get(name) for name in _NEEDED):
        return False
    timestamp = claimed["oauth_timestamp"]
    return (
        claimed.get("oauth_version", "1.0") == "1.0"
        and len(claimed["oauth_consumer_key"]) <= _LONGEST
        and len(claimed["oauth_nonce"]) <= _LONGEST
        and len(timestamp) == _DIGITS
        and abs(time.time() - int(timestamp)) <= WINDOW
    )


def _is_body(claimed: Mapping[str, str], body: bytes) -> bool:
    """Whether the body is the one that was signed; a signature without a hash says nothing about it."""
    sent = claimed.get("oauth_body_hash")
    if sent is None:
        return True
    try:
        given = base64.b64decode(sent, validate=True)
    except binascii.Error:
        return False
    # The extension knows SHA-1 alone, which libraries send under any method; some use the method's.
    digests = [hashlib.sha1(body, usedforsecurity=False).digest()]
    if claimed["oauth_signature_method"] == "HMAC-SHA256":
        digests.append(hashlib.sha256(body).digest())
    return any([hmac.compare_digest(given, digest) for digest in digests])  # noqa: C419 - all, always
