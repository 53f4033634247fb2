"""Reads where in Azure images are to lie, and who brings them there."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins.texts import Fields

PROVIDER_KEYS: Final = frozenset(
    {
        *("subscription_id", "resource_group", "location"),
        *("storage_account", "container", "gallery", "gallery_image", "hyper_v_generation"),
        *("login_endpoint", "management_endpoint", "blob_endpoint"),
    }
)
CREDENTIALS_KEYS: Final = frozenset(
    {"tenant_id", "client_id", "client_secret", "account_key", "sas_token"}
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._()-]{0,89}")  # of what ARM names


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """An Azure Compute Gallery, and the image definition in it that versions belong to."""

    name: str
    image: str


@dataclass(frozen=True, kw_only=True)
class AzureLogin:
    """A service principal, and the places that it may write to."""

    subscription: str
    group: str
    location: str
    account: str
    container: str
    gallery: Gallery | None  #: None: a managed image is made
    generation: str  #: `V2` starts by UEFI, `V1` by BIOS
    tenant: str
    client: str
    client_secret: Secret
    account_key: (
        Secret | None
    )  #: the storage account's; None, as without the next: the principal itself
    sas_token: Secret | None  #: a shared access signature of the container's or account's
    login_endpoint: str
    management_endpoint: str
    blob_endpoint: str

    @property
    def secrets(self) -> Collection[Secret]:
        """What no message may hold."""
        return [s for s in (self.client_secret, self.account_key, self.sas_token) if s is not None]


def read(provider: str, credentials: Secret) -> AzureLogin:
    """Both texts as a login; `RequestError` names a key that is missing, unknown or unusable."""
    place = Fields.read(provider, what="provider").only(PROVIDER_KEYS)
    person = Fields.read(
        credentials.reveal(), what="credentials", element="azure_credentials"
    ).only(CREDENTIALS_KEYS)
    account = _name(place, "storage_account")
    return AzureLogin(
        subscription=_name(place, "subscription_id"),
        group=_name(place, "resource_group"),
        location=place.require("location"),
        account=account,
        container=_name(place, "container", default="images"),
        gallery=_gallery(place),
        generation=_generation(place),
        tenant=_name(person, "tenant_id"),
        client=person.require("client_id"),
        client_secret=Secret(person.require("client_secret")),
        account_key=person.secret("account_key"),
        sas_token=person.secret("sas_token"),
        login_endpoint=_url(place, "login_endpoint", "https://login.microsoftonline.com"),
        management_endpoint=_url(place, "management_endpoint", "https://management.azure.com"),
        blob_endpoint=_url(place, "blob_endpoint", f"https://{account}.blob.core.windows.net"),
    )


def _gallery(place: Fields) -> Gallery | None:
    if not place.text("gallery", "gallery_image"):
        return None
    return Gallery(name=_name(place, "gallery"), image=_name(place, "gallery_image"))


def _generation(place: Fields) -> str:
    generation = place.text("hyper_v_generation") or "V2"
    if generation not in {"V1", "V2"}:
        msg = 'The key "hyper_v_generation" of the provider is neither "V1" nor "V2"'
        raise RequestError(msg)
    return generation


def _name(fields: Fields, key: str, *, default: str | None = None) -> str:
    """A word that becomes a part of an address."""
    word = fields.text(key) or default or fields.require(key)
    if not _NAME.fullmatch(word):
        msg = f'The key "{key}" of the {fields.what} is not a name of Azure\'s'
        raise RequestError(msg)
    return word


def _url(place: Fields, key: str, default: str) -> str:
    text = place.text(key) or default
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search("[@?#]", text):
        msg = f'The key "{key}" of the provider is not the address of a server'
        raise RequestError(msg)
    return text.rstrip("/")
