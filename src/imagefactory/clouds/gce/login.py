"""Reads to which bucket of Google's an image goes, and the service account that brings it there."""

import base64
import json
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins.texts import Fields

PROVIDER_KEYS: Final = frozenset(
    {"bucket", "family", "labels", "location", "storage_endpoint", "compute_endpoint"}
)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_SCOPES: Final = (
    "https://www.googleapis.com/auth/compute https://www.googleapis.com/auth/devstorage.read_write"
)
_HOUR: Final = 3600  # seconds


@dataclass(frozen=True, kw_only=True)
class GceLogin:
    """A service account, and the bucket through which its images go."""

    bucket: str
    project: str
    email: str
    key_id: str
    private_key: Secret  #: PEM
    token_uri: str
    family: str | None
    location: str | None  #: where the image is kept; None is near the bucket
    storage_endpoint: str
    compute_endpoint: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> Collection[Secret]:
        """What no message may hold."""
        return (self.private_key,)

    def assertion(self) -> str:
        """A signed claim for an access token (RFC 7523; RFC 7519 with RS256), good for an hour."""
        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        claims = {
            "iss": self.email,
            "scope": _SCOPES,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + _HOUR,
        }
        text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
        signature = _key(self.private_key, known=True).sign(
            text.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        return f"{text}.{_encoded(signature)}"


def read(provider: str, credentials: Secret) -> GceLogin:
    """A bucket's name or a text of keys, and a service account's key file as Google hands it out."""
    given = provider.strip()
    place = (
        Fields.read(given, what="provider").only(PROVIDER_KEYS)
        if given.startswith(("{", "<"))
        else Fields(what="provider", given={"bucket": given})
    )
    person = Fields.read(credentials.reveal(), what="credentials", element="gce_credentials")
    if person.text("type") not in {None, "service_account"}:
        msg = 'The key "type" of the credentials is not "service_account"'
        raise RequestError(msg, hint="Give the JSON key file of a service account")
    private_key = Secret(person.require("private_key"))
    _key(private_key, known=False)
    return GceLogin(
        bucket=_matching(place.require("bucket"), _BUCKET, "bucket"),
        project=person.require("project_id"),
        email=person.require("client_email"),
        key_id=person.text("private_key_id") or "",
        private_key=private_key,
        token_uri=_url(person, "token_uri", "https://oauth2.googleapis.com/token"),
        family=place.text("family"),
        location=place.text("location"),
        storage_endpoint=_url(place, "storage_endpoint", "https://storage.googleapis.com"),
        compute_endpoint=_url(
            place, "compute_endpoint", "https://compute.googleapis.com/compute/v1"
        ),
        labels={
            _matching(key, _LABEL, "labels"): value
            for key, value in place.mapping("labels").items()
        },
    )


def _key(pem: Secret, *, known: bool) -> rsa.RSAPrivateKey:
    """A private key; the tenth of a second that its primes take to check is spent once, unless `known`."""
    try:
        key = serialization.load_pem_private_key(
            pem.reveal().encode(), password=None, unsafe_skip_rsa_key_validation=known
        )
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        msg = 'The key "private_key" of the credentials is not an RSA key in PEM'
        raise RequestError(msg) from None
    return key


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _matching(text: str, pattern: re.Pattern[str], key: str) -> str:
    if not pattern.fullmatch(text):
        msg = f'The key "{key}" of the provider is not as Google asks for it'
        raise RequestError(msg, hint=f"It has to match {pattern.pattern}")
    return text


def _url(fields: Fields, key: str, default: str) -> str:
    text = fields.text(key) or default
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search("[@?#]", text):
        msg = f'The key "{key}" of the {fields.what} is not the address of a server'
        raise RequestError(msg)
    return text.rstrip("/")
