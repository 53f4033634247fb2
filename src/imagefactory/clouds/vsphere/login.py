"""Reads what clients of vSphere send as provider and credentials, the original's texts among it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from imagefactory.core.secret import Secret
from imagefactory.plugins import servers

PROVIDER_KEYS: Final = frozenset(
    {
        *("api-url", "username", "password", servers.VERIFY, servers.AUTHORITY),
        *("datastore", "compute_resource", "network_name"),
    }
)


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
    place, person = servers.read(
        provider,
        credentials,
        keys=PROVIDER_KEYS,
        element="vsphere_credentials",
        unreadable="VMWare instance not found in XML or JSON provided",
    )
    return VSphereLogin(
        api_url=servers.address(place, "api-url", example="https://vcenter.example.com/sdk"),
        username=servers.either(person, place, "username"),
        password=Secret(servers.either(person, place, "password")),
        datastore=place.require("datastore"),
        compute_resource=place.require("compute_resource"),
        network=place.require("network_name"),
        verify=place.boolean(servers.VERIFY, default=True),
        authority=servers.authority(place),
    )
