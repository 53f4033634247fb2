"""VMware vSphere as a cloud: a streamOptimized VMDK, imported under a lease and marked as a template."""

import logging
from collections.abc import Sequence
from pathlib import Path

from imagefactory.clouds.vsphere import soap
from imagefactory.clouds.vsphere.inventory import Inventory
from imagefactory.clouds.vsphere.lease import upload
from imagefactory.clouds.vsphere.login import VSphereLogin, read
from imagefactory.clouds.vsphere.machine import PREFIX, described, name_of
from imagefactory.clouds.vsphere.standard import StandardVmdk
from imagefactory.core.config import Config
from imagefactory.core.contents import Package
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.drivers import kernel_with_drivers
from imagefactory.plugins.processors import check_processor
from imagefactory.plugins.progress import Progress
from imagefactory.plugins.rest import ASKING, FAULTS

log = logging.getLogger(__name__)


class VSphere:
    """The target `vsphere`. Making target images needs no client library, pushing them does."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        description = "VMware vSphere: templates, imported by vCenter"
        if not soap.installed():
            description += f". Cannot push: the client library is missing. {soap.INSTALL}"
        return info("vSphere", "cloud", description)

    @property
    def targets(self) -> Sequence[str]:
        return ("vsphere",)

    def login(self, provider: str, credentials: Secret) -> VSphereLogin:
        return read(provider, credentials)

    def customization(self, template: Template) -> Customization:
        """A kernel with VMware's devices, and the tools by which vCenter customizes a clone."""
        if template.os.name.partition("-")[0] not in {"Debian", "Ubuntu"}:
            return Customization()
        kernel = kernel_with_drivers(template)
        return Customization(packages=(*kernel.packages, Package(name="open-vm-tools")))

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        check_processor(template, "vsphere")
        form = parameters.choice(
            "vsphere_vmdk_format", ("streaming", "standard"), default="streaming"
        )
        return (StandardVmdk(),) if form == "standard" else (Convert(format="vmdk"),)

    def check(self, login: VSphereLogin) -> None:
        with soap.connected(login, "show its inventory", seconds=ASKING) as service:
            Inventory.of(service).check(service, 0)

    def push(self, image: ProviderImage, disk: Path, login: VSphereLogin, report: Report) -> Pushed:
        size = disk.stat().st_size
        progress = Progress(report, size=size)
        wanted = described(image, disk)
        with soap.connected(login, "take the image", proceed=progress.proceed) as service:
            inventory = Inventory.of(service)
            inventory.check(service, size)
            pushed = Pushed(identifier=wanted.name, account=login.username)
            if _is_whole(wanted.name, inventory, service):
                return pushed
            try:
                progress(0, f'Importing the template "{wanted.name}" into vSphere')
                lease = inventory.begin(wanted, service)
                upload(lease, disk, service, progress)
                inventory.mark(wanted.name, service)
            except BaseException:
                _undo(wanted.name, inventory, service)
                raise
            progress(size)
            return pushed

    def find(self, token: str, login: VSphereLogin) -> Pushed | None:
        name = name_of(token)
        with soap.connected(login, "show its inventory") as service:
            if _is_whole(name, Inventory.of(service), service):
                return Pushed(identifier=name, account=login.username)
            return None

    def delete(self, identifier: str, login: VSphereLogin) -> None:
        if not identifier.startswith(PREFIX):
            msg = f'The template "{identifier}" was not made by a factory'
            raise CloudError(msg, hint="Delete it with vSphere's own tools")
        with soap.connected(login, f'delete the template "{identifier}"') as service:
            Inventory.of(service).destroy(identifier, service)


def _is_whole(name: str, inventory: Inventory, service: soap.Service) -> bool:
    """Whether there is such a template; what a killed push left unfinished, and nobody can finish, goes."""
    if inventory.is_template(name, service):
        return True
    inventory.destroy(name, service)
    return False


def _undo(name: str, inventory: Inventory, service: soap.Service) -> None:
    """Remove what was half made, if the server still answers; the fault is told by another."""
    try:
        inventory.destroy(name, service.undoing())
    except (*FAULTS, CloudError):
        log.warning("The half-made machine %s stays with vSphere", name)
