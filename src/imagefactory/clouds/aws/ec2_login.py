"""Reads what clients of EC2 send as provider and credentials, the original's texts among it."""

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
        *("name", "region", "endpoint_url", "verify"),
        *("share", "copy_to", "tags", "volume_type", "kms_key"),
        # what the original looked up in its own tables; the client library knows better
        *("host", "boto_loc", "i386", "x86_64"),
    }
)
_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_ACCOUNT: Final = re.compile(r"\d{12}")
_VOLUME_TYPES: Final = ("gp3", "gp2", "io1", "io2", "standard")


@dataclass(frozen=True, kw_only=True)
class Ec2Login:
    """Who pushes to which region, and what becomes of every image there."""

    identity: Identity
    place: Place
    share: tuple[str, ...] = ()  #: account numbers, or `all`
    copies: tuple[str, ...] = ()  #: other regions that get a copy
    tags: Mapping[str, str] = field(default_factory=dict)
    volume_type: str = "gp3"
    kms_key: str | None = None  #: ARN of the key that the snapshots are encrypted with

    @property
    def region(self) -> str:
        """The one that images are pushed to."""
        return self.place.region


def read(provider: str, credentials: Secret, *, instance: bool = False) -> Ec2Login:
    """Both texts as a login; `RequestError` names what is missing or not understood.

    `instance`: whether clients may use the keys of the factory's own instance.
    """
    text = provider.strip()
    given: Mapping[str, Any] = {"name": text}
    if text.startswith(("{", "<")):
        given = Fields.read(text, what="provider").given
    place = Fields(what="provider", given=given).only(PROVIDER_KEYS)
    region = _region(place.require("region", "name"))
    volume_type = place.text("volume_type") or "gp3"
    if volume_type not in _VOLUME_TYPES:
        msg = f'The key "volume_type" of the provider is "{volume_type}", which EC2 does not have'
        raise RequestError(msg, hint="These are: " + ", ".join(_VOLUME_TYPES))
    return Ec2Login(
        identity=Identity.read(
            credentials, element="ec2_credentials", service="EC2", instance=instance
        ),
        place=Place(
            name=f'EC2 in "{region}"',
            region=region,
            endpoint=_endpoint(place),
            verify=place.boolean("verify", default=True),
        ),
        share=_accounts(place),
        copies=tuple(
            found for name in _words(place, "copy_to") if (found := _region(name)) != region
        ),
        tags=place.mapping("tags"),
        volume_type=volume_type,
        kms_key=place.text("kms_key"),
    )


def _region(text: str) -> str:
    """A region's name, with or without the `ec2-` that the original put before it."""
    region = text.removeprefix("@").removeprefix("ec2-")
    if not _REGION.fullmatch(region):
        msg = f"Passed unknown EC2 region ({text})"
        raise RequestError(msg, hint='Name one such as "eu-west-1"')
    return region


def _endpoint(place: Fields) -> str | None:
    url = place.text("endpoint_url")
    if url is not None and not re.fullmatch(r"https?://[^/@?#\s]+/?", url):
        msg = 'The key "endpoint_url" of the provider is not the address of a server'
        raise RequestError(msg, hint="Such as https://cloud.example.com:8773")
    return url


def _accounts(place: Fields) -> tuple[str, ...]:
    accounts = tuple(word.replace("-", "") for word in _words(place, "share"))
    for account in accounts:
        if account != "all" and not _ACCOUNT.fullmatch(account):
            msg = f'The key "share" of the provider has "{account}", which is no account number'
            raise RequestError(msg, hint='Give numbers of 12 digits, or "all"')
    return accounts


def _words(place: Fields, key: str) -> tuple[str, ...]:
    """A JSON list of texts, or one text with commas."""
    given = place.given.get(key)
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        return tuple(given)
    text = place.text(key) or ""
    return tuple(word for part in text.split(",") if (word := part.strip()))
