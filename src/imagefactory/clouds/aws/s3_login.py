"""Reads which bucket of which S3 server a client means, and who may write there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imagefactory.clouds.aws.client import Place
from imagefactory.clouds.aws.identity import Identity
from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins.texts import Fields

PROVIDER_KEYS: Final = frozenset(
    {
        *("bucket", "prefix", "region", "endpoint_url", "verify", "path_style"),
        *("storage_class", "tags"),
    }
)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, kw_only=True)
class S3Login:
    """Where objects go, and who brings them."""

    identity: Identity
    place: Place
    bucket: str
    prefix: str = ""  #: of every key
    storage_class: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def read(provider: str, credentials: Secret, *, instance: bool = False) -> S3Login:
    """Both texts as a login; `RequestError` names what is missing or not understood.

    `instance`: whether clients may use the keys of the factory's own instance.
    """
    text = provider.strip()
    given: Mapping[str, Any] = {"bucket": text}
    if text.startswith(("{", "<")):
        given = Fields.read(text, what="provider").given
    place = Fields(what="provider", given=given).only(PROVIDER_KEYS)
    bucket = place.require("bucket").removeprefix("s3://")
    if not _BUCKET.fullmatch(bucket):
        msg = f'The key "bucket" of the provider is "{bucket}", which no bucket can be called'
        raise RequestError(msg)
    endpoint = place.text("endpoint_url")
    if endpoint is not None and not re.fullmatch(r"https?://[^/@?#\s]+/?", endpoint):
        msg = 'The key "endpoint_url" of the provider is not the address of a server'
        raise RequestError(msg, hint="Such as https://s3.example.com")
    return S3Login(
        identity=Identity.read(
            credentials, element="s3_credentials", service="S3", instance=instance
        ),
        place=Place(
            name=f'S3 at "{endpoint.rstrip("/")}"' if endpoint else "S3",
            region=place.text("region") or "us-east-1",
            endpoint=endpoint,
            verify=place.boolean("verify", default=True),
            path_style=place.boolean("path_style", default=endpoint is not None),
        ),
        bucket=bucket,
        prefix=place.text("prefix") or "",
        storage_class=place.text("storage_class"),
        tags=place.mapping("tags"),
    )
