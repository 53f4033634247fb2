"""Reads what clients of RHEV and oVirt send as provider and credentials, the original's texts among it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins import servers
from imagefactory.plugins.texts import Fields

PROVIDER_KEYS: Final = frozenset(
    {
        *("api-url", "username", "password", servers.VERIFY, servers.AUTHORITY),
        *("storage_domain", "nfs-host", "nfs-path", "nfs-dir"),
        *("cluster", "network_name", "timeout"),
    }
)
ANY: Final = "_any_"
_API: Final = "/ovirt-engine/api"
_TIMEOUT: Final = 1800  # seconds


@dataclass(frozen=True, kw_only=True)
class RhevmLogin:
    """Who pushes to which engine, and where templates are to be."""

    api_url: str
    username: str
    password: Secret
    storage_domain: str | None  #: its name; None: it is known by the next two
    nfs_host: str | None
    nfs_path: str | None
    cluster: str | None  #: None is the first one of the data center
    network: str | None  #: None is the one by which the cluster is managed
    timeout: int  #: seconds that the engine may take for one thing
    verify: bool  #: the servers' certificates
    authority: str | None  #: PEM; None is what the host trusts

    @property
    def secrets(self) -> Collection[Secret]:
        """What no message may hold."""
        return (self.password,)

    @property
    def engine_url(self) -> str:
        """Where the engine's other services lie, the login among them."""
        return self.api_url.removesuffix("/api")

    @property
    def storage(self) -> str:
        """What messages call the storage domain."""
        return self.storage_domain or f"{self.nfs_host}:{self.nfs_path}"


def read(provider: str, credentials: Secret) -> RhevmLogin:
    """Both texts as a login; `RequestError` names a key that is missing, unknown or unusable.

    What the credentials lack is taken from the provider, as the original did.
    """
    place, person = servers.read(
        provider,
        credentials,
        keys=PROVIDER_KEYS,
        element="rhevm_credentials",
        unreadable="RHEV-M instance not found in XML or JSON provided",
    )
    storage = place.text("storage_domain")
    if storage is None and place.text("nfs-path") is None:
        msg = 'The text of the provider lacks "storage_domain"'
        raise RequestError(msg, hint='Name one, or give its "nfs-host" and "nfs-path"')
    cluster = place.text("cluster")
    return RhevmLogin(
        api_url=_api(place),
        username=servers.either(person, place, "username"),
        password=Secret(servers.either(person, place, "password")),
        storage_domain=storage,
        nfs_host=place.require("nfs-host") if storage is None else None,
        nfs_path=place.require("nfs-path") if storage is None else None,
        cluster=None if cluster == ANY else cluster,
        network=place.text("network_name"),
        timeout=place.integer("timeout", default=_TIMEOUT) or _TIMEOUT,
        verify=place.boolean(servers.VERIFY, default=True),
        authority=servers.authority(place),
    )


def _api(place: Fields) -> str:
    """The API's address; version 4 has left `/api`, where the original's providers look for it."""
    example = f"https://engine.example.com{_API}"
    parts = urlsplit(servers.address(place, "api-url", example=example))
    if parts.path in {"", "/api"}:
        parts = parts._replace(path=_API)
    return parts.geturl()
