"""Reads which server a provider names, and which certificate authorities it is trusted by."""

import re
import ssl
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins.texts import Fields

VERIFY: Final = "verify"
AUTHORITY: Final = "ca_certificate"
_CREDENTIALS: Final = frozenset({"username", "password"})


def read(
    provider: str, credentials: Secret, *, keys: Collection[str], element: str, unreadable: str
) -> tuple[Fields, Fields]:
    """A provider that names a server, and the credentials for it; `RequestError` names an unknown key.

    `element` is what the credentials are in XML, `unreadable` the original's sentence about a provider that is
    neither XML nor JSON, which clients know; what is wrong with it is the hint.
    """
    try:
        place = Fields.read(provider, what="provider")
    except RequestError as error:
        raise RequestError(unreadable, hint=error.brief) from None
    text = credentials.reveal().strip() or "{}"
    person = Fields.read(text, what="credentials", element=element)
    return place.only(keys), person.only(_CREDENTIALS)


def either(person: Fields, place: Fields, key: str) -> str:
    """A text of the credentials, or where they lack it of the provider, as the original did."""
    text = person.text(key) or place.text(key)
    if text is None:
        msg = f"No {key} specified in config file or in push call"
        raise RequestError(msg, hint=f'Give the credentials a "{key}"')
    return text


def address(fields: Fields, key: str, *, example: str) -> str:
    """A server's address, with nothing in it that would be a secret or be lost; without a `/` at its end."""
    text = fields.require(key)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search("[@?#]", text):
        msg = f'The key "{key}" of the {fields.what} is not the address of a server'
        raise RequestError(msg, hint=f"Such as {example}")
    return text.rstrip("/")


def authority(fields: Fields) -> str | None:
    """PEM certificates of a server's own authority; None is those that the host trusts."""
    text = fields.text(AUTHORITY)
    if text is not None:
        try:
            trusting(text, verify=True)
        except (ssl.SSLError, ValueError):
            msg = f'The key "{AUTHORITY}" of the {fields.what} is not a certificate in PEM'
            raise RequestError(msg) from None
    return text


def trusting(certificates: str | None, *, verify: bool) -> ssl.SSLContext:
    """What connections to the server are secured by."""
    context = ssl.create_default_context(cadata=certificates)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
