"""Reads which server a provider names, and which certificate authorities it is trusted by."""

import re
import ssl
from typing import Final
from urllib.parse import urlsplit

from imagefactory.core.errors import RequestError
from imagefactory.plugins.texts import Fields

VERIFY: Final = "verify"
AUTHORITY: Final = "ca_certificate"


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
