"""Reads what clients of vSphere send as provider and credentials, the original's texts among it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins import servers
from imagefactory.plugins.texts import Fields

PROVIDER_KEYS: Final = frozenset(
    {
        *("api-url", "username", "password", servers.VERIFY, servers.AUTHORITY),
        *("datastore", "compute_resource", "network_name"),
    }
)
CREDENTIALS_KEYS: Final = frozenset({"username", "password"})


@dataclass(frozen=True, kw_only=True)
class VSphereLogin:
    """Who pushes to which vCenter or ESXi, and where in its inventory templates are to be."""

    api_url: str
    username: str
    password: Secret
    datastore: str
    compute_resource: str  #: a cluster or a host
    network: str
    verify: bool  #: the servers' certificates
    authority: str | None  #: PEM; None is what the host trusts

    @property
    def secrets(self) -> Collection[Secret]:
        """What no message may hold."""
        return (self.password,)


def read(provider: str, credentials: Secret) -> VSphereLogin:
    """Both texts as a login; `RequestError` names a key that is missing, unknown or unusable.

    What the credentials lack is taken from the provider, as the original did.
    """
    try:
        place = Fields.read(provider, what="provider")
    except RequestError as error:
        # The original's sentence, which clients know; what is wrong with the text is the hint.
        msg = "VMWare instance not found in XML or JSON provided"
        raise RequestError(msg, hint=error.brief) from None
    place.only(PROVIDER_KEYS)
    text = credentials.reveal().strip() or "{}"
    person = Fields.read(text, what="credentials", element="vsphere_credentials").only(
        CREDENTIALS_KEYS
    )
    return VSphereLogin(
        api_url=servers.address(place, "api-url", example="https://vcenter.example.com/sdk"),
        username=_either(person, place, "username"),
        password=Secret(_either(person, place, "password")),
        datastore=place.require("datastore"),
        compute_resource=place.require("compute_resource"),
        network=place.require("network_name"),
        verify=place.boolean(servers.VERIFY, default=True),
        authority=servers.authority(place),
    )


def _either(person: Fields, place: Fields, key: str) -> str:
    text = person.text(key) or place.text(key)
    if text is None:
        msg = f"No {key} specified in config file or in push call"
        raise RequestError(msg, hint=f'Give the credentials a "{key}"')
    return text
