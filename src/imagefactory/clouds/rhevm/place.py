"""Finds where an image is to be: a storage domain, a cluster beside it, and a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imagefactory.clouds.rhevm.engine import Engine, Thing
from imagefactory.clouds.rhevm.login import RhevmLogin
from imagefactory.core.errors import CloudError

_BLOCK: Final = frozenset({"fcp", "iscsi"})


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a login names, by its ids."""

    domain: str
    name: str  #: of the domain
    free: int  #: bytes
    block: bool  #: whether its disks lie on devices, which know no holes
    cluster: str
    profile: str | None  #: of the network; None where it has none

    def check(self, size: int) -> None:
        """`CloudError` when there is no room for so many bytes."""
        if self.free < size or not self.free:
            msg = f'The storage domain "{self.name}" is full'
            raise CloudError(msg, hint=f"It has {self.free} bytes left, the image has {size}")


def found(engine: Engine) -> Place:
    """`CloudError` names what is not there."""
    login = engine.login
    named = _named(engine, login)
    centers = (named.get("data_centers") or {}).get("data_center") or ()
    if not centers:
        msg = f'The storage domain "{login.storage}" belongs to no data center'
        raise CloudError(msg)
    center = f"datacenters/{centers[0]['id']}"
    domain = _usable(engine.listed(f"{center}/storagedomains"), named, login)
    cluster = _first(engine.listed(f"{center}/clusters"), "cluster", login.cluster)
    networks = engine.listed(f"clusters/{cluster['id']}/networks")
    if login.network is None:
        networks = [network for network in networks if "management" in _usages(network)]
    network = _first(networks, "network", login.network)
    profiles = engine.listed(f"networks/{network['id']}/vnicprofiles")
    return Place(
        domain=domain["id"],
        name=domain["name"],
        free=int(domain.get("available", 0)),
        block=(domain.get("storage") or {}).get("type") in _BLOCK,
        cluster=cluster["id"],
        profile=profiles[0]["id"] if profiles else None,
    )


def _named(engine: Engine, login: RhevmLogin) -> Thing:
    for domain in engine.listed("storagedomains"):
        storage = domain.get("storage") or {}
        if login.storage_domain is not None:
            if domain.get("name") == login.storage_domain:
                return domain
        elif (storage.get("address"), storage.get("path")) == (login.nfs_host, login.nfs_path):
            return domain
    msg = f'The oVirt engine has no storage domain "{login.storage}"'
    raise CloudError(msg)


def _usable(attached: Sequence[Thing], named: Thing, login: RhevmLogin) -> Thing:
    """The domain itself, or, of one that only exports, the master of its data center, as the original did."""
    for domain in attached:
        if (
            domain["id"] == named["id"]
            if named["type"] == "data"
            else domain.get("master") == "true"
        ):
            if domain.get("status") == "active":
                return domain
            msg = f'The storage domain "{domain["name"]}" is not active'
            raise CloudError(msg)
    msg = f'The data center of the storage domain "{login.storage}" has no domain for disks'
    raise CloudError(msg)


def _first(things: Sequence[Thing], kind: str, name: str | None) -> Thing:
    for thing in things:
        if name in {None, thing["name"]}:
            return thing
    msg = (
        f"The oVirt engine has no {kind} there"
        if name is None
        else f'The oVirt engine has no {kind} "{name}" there'
    )
    raise CloudError(msg, hint="It has to belong to the data center of the storage domain")


def _usages(network: Thing) -> Sequence[str]:
    usages: Sequence[str] = (network.get("usages") or {}).get("usage") or ()
    return usages
