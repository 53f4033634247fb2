"""Finds where in an inventory a template is to be, and makes, shows and removes it there."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagefactory.clouds.vsphere.machine import NETWORK, Machine
from imagefactory.clouds.vsphere.soap import Busy, Gone, Service, said, sdk
from imagefactory.core.errors import CloudError

log = logging.getLogger(__name__)

_TOKEN = "imagefactory.token"  # noqa: S105 - a machine's extra configuration


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The managed objects that a login names."""

    folder: Any  #: of the datacenter's machines
    pool: Any
    datastore: Any
    network: Any
    free: int  #: bytes of the datastore

    @classmethod
    def of(cls, service: Service) -> "Inventory":
        """`CloudError` names what is not there."""
        vim = sdk().vim
        login = service.login
        found = _visible(service)
        compute = _named(found, vim.ComputeResource, login.compute_resource, "compute resource")
        here = found[compute]
        stores = {store: found[store] for store in here["datastore"] if store in found}
        networks = {net: found[net] for net in here["network"] if net in found}
        datastore = _named(stores, vim.Datastore, login.datastore, "datastore")
        network = _named(networks, vim.Network, login.network, "network")
        centers = [
            p for p in found.values() if datastore in p.get("datastore", ()) and "vmFolder" in p
        ]
        if not centers or not stores[datastore]["summary"].accessible:
            msg = f'The datastore "{login.datastore}" is not accessible'
            raise CloudError(msg)
        return cls(
            folder=centers[0]["vmFolder"],
            pool=here["resourcePool"],
            datastore=datastore,
            network=network,
            free=int(stores[datastore]["summary"].freeSpace),
        )

    def check(self, service: Service, size: int) -> None:
        """`CloudError` when there is no room for so many bytes."""
        if self.free < size or not self.free:
            msg = f'The datastore "{service.login.datastore}" is full'
            raise CloudError(msg, hint=f"It has {self.free} bytes left, the image has {size}")

    def find(self, name: str, service: Service) -> Any:
        """The machine or template with this name, or None."""
        index = service.content.searchIndex
        return service.ask(lambda: index.FindChild(entity=self.folder, name=name))

    def is_template(self, name: str, service: Service) -> bool:
        """Whether there is such a template, which a push makes of a machine at its very end."""
        machine = self.find(name, service)
        try:
            return machine is not None and bool(service.ask(lambda: machine.config.template))
        except Gone:
            return False

    def begin(self, wanted: Machine, service: Service) -> Any:
        """The lease under which a new machine's disk is to be uploaded."""
        spec = self._spec(wanted, service)

        def begin() -> Any:
            try:
                return service.once(lambda: self.pool.ImportVApp(spec=spec, folder=self.folder))
            except Busy:
                return None  # by an earlier try of ours, whose answer was lost

        lease = service.rest.retry(begin)
        if lease is None:
            self.destroy(wanted.name, service)
            lease = service.rest.retry(begin)
        if lease is None:
            msg = f'The name "{wanted.name}" is taken in vSphere'
            raise CloudError(msg)
        return lease

    def mark(self, name: str, service: Service) -> None:
        """Make a template of the machine; that it is one already is as good."""
        machine = self.find(name, service)
        if machine is None:
            msg = f'The machine "{name}" vanished from vSphere'
            raise CloudError(msg, hint="The lease of its import may have ended; push again")

        def mark() -> bool | None:
            try:
                service.once(machine.MarkAsTemplate)
            except Busy:
                return service.once(lambda: machine.config.template) or None
            return True

        service.rest.settle(mark)

    def destroy(self, name: str, service: Service) -> None:
        """Remove a machine or template with its disks; one that is gone is as good.

        One whose import was broken off is locked until its lease ends, some minutes later.
        """

        def destroy() -> bool | None:
            machine = self.find(name, service)
            if machine is None:
                log.info("The machine %s is not there any more", name)
                return True
            try:
                finish(service, service.once(machine.Destroy_Task))
            except Gone:
                return True
            except Busy:
                return None
            return True

        service.rest.settle(destroy)

    def _spec(self, wanted: Machine, service: Service) -> Any:
        vim = sdk().vim
        mapping = vim.OvfManager.NetworkMapping(name=NETWORK, network=self.network)
        words = vim.OvfManager.CreateImportSpecParams(
            entityName=wanted.name, diskProvisioning="thin", networkMapping=[mapping]
        )
        made = service.ask(
            lambda: service.content.ovfManager.CreateImportSpec(
                ovfDescriptor=wanted.descriptor,
                resourcePool=self.pool,
                datastore=self.datastore,
                cisp=words,
            )
        )
        for fault in made.error or ():
            msg = f'vSphere does not take the machine "{wanted.name}": {said(fault, service.login)}'
            raise CloudError(msg)
        config = made.importSpec.configSpec
        config.annotation = wanted.annotation
        config.extraConfig = [
            *(config.extraConfig or ()),
            vim.option.OptionValue(key=_TOKEN, value=wanted.token),
        ]
        return made.importSpec


def finish(service: Service, task: Any) -> None:
    """Wait until a task has ended; its error is told."""

    def look() -> Any:
        info = service.ask(lambda: task.info)
        return info if info.state in {"success", "error"} else None

    info = service.rest.settle(look)
    if info.state == "error":
        fault = info.error

        def fail() -> None:
            raise fault

        service.once(fail)


def _visible(service: Service) -> Mapping[Any, Mapping[str, Any]]:
    """The properties of all places that the user sees, by the object."""
    vim, vmodl = sdk().vim, sdk().vmodl
    wanted: Mapping[Any, Sequence[str]] = {
        vim.Datacenter: ("name", "vmFolder", "datastore"),
        vim.ComputeResource: ("name", "resourcePool", "datastore", "network"),
        vim.Datastore: ("name", "summary"),
        vim.Network: ("name",),
    }
    content = service.content
    view = service.ask(
        lambda: content.viewManager.CreateContainerView(
            container=content.rootFolder, type=list(wanted), recursive=True
        )
    )
    query = vmodl.query.PropertyCollector
    spec = query.FilterSpec(
        objectSet=[
            query.ObjectSpec(
                obj=view,
                skip=True,
                selectSet=[
                    query.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
                ],
            )
        ],
        propSet=[
            query.PropertySpec(type=kind, pathSet=list(names)) for kind, names in wanted.items()
        ],
    )
    collect: Callable[[], Any] = lambda: content.propertyCollector.RetrieveContents([spec])  # noqa: E731
    return {one.obj: {prop.name: prop.val for prop in one.propSet} for one in service.ask(collect)}


def _named(found: Mapping[Any, Mapping[str, Any]], kind: Any, name: str, what: str) -> Any:
    named = [one for one, facts in found.items() if isinstance(one, kind) and facts["name"] == name]
    if not named:
        known = sorted(
            f'"{facts["name"]}"' for one, facts in found.items() if isinstance(one, kind)
        )
        msg = f'vSphere has no {what} "{name}" that this login may see'
        raise CloudError(msg, hint=f"There are: {', '.join(known)}" if known else None)
    return named[0]
