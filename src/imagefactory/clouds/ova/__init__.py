"""OVAs and Vagrant's boxes as targets, handed over in a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imagefactory.clouds.ova import packings
from imagefactory.clouds.ova.guest import VAGRANT_USER
from imagefactory.clouds.ova.shelf import Shelf, ShelfLogin
from imagefactory.core.config import Config
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.pack import Pack
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.drivers import kernel_with_drivers
from imagefactory.plugins.processors import check_processor


class _OnShelf:
    """What an archive in a folder is, whatever is in it."""

    def __init__(self, config: Config, shelf: Shelf) -> None:
        self._config = config
        self._shelf = shelf

    def login(self, provider: str, credentials: Secret) -> ShelfLogin:
        return self._shelf.login(self._config, provider)

    def check(self, login: ShelfLogin) -> None:
        with login.folder.opened():
            pass

    def push(self, image: ProviderImage, disk: Path, login: ShelfLogin, report: Report) -> Pushed:
        return self._shelf.push(image, disk, login, report)

    def find(self, token: str, login: ShelfLogin) -> Pushed | None:
        return self._shelf.find(token, login)

    def delete(self, identifier: str, login: ShelfLogin) -> None:
        self._shelf.delete(identifier, login)


class Ova(_OnShelf):
    """The target `ova`: a base image, or a target image of `vsphere`, `rhevm` or `hyperv`, packed."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, Shelf(suffix=".ova"))

    @property
    def info(self) -> Info:
        return info("OVA", "cloud", "Virtual appliances and boxes: a disk and what describes it")

    @property
    def targets(self) -> Sequence[str]:
        return ("ova", "OVA")

    def customization(self, template: Template) -> Customization:
        return kernel_with_drivers(template)

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        check_processor(template, "ova")
        packing = packings.choose(None, parameters)
        return (Pack(layout=packings.layout(packing, template, parameters)),)

    def plan_packing(self, source: str, template: Template, parameters: Parameters) -> Plan:
        packing = packings.choose(source, parameters)
        return (Pack(layout=packings.layout(packing, template, parameters)),)


class Vagrant(_OnShelf):
    """One of the targets `vagrant-…`: a box with the user that Vagrant logs in as."""

    def __init__(self, config: Config, *, target: str, packing: str, provider: str) -> None:
        super().__init__(config, Shelf(suffix=".box", provider=provider))
        self._target = target
        self._packing = packing

    @property
    def info(self) -> Info:
        kind = self._target.removeprefix("vagrant-")
        return info(self._target.title(), "cloud", f"Vagrant: boxes for the provider {kind}")

    @property
    def targets(self) -> Sequence[str]:
        return (self._target,)

    def customization(self, template: Template) -> Customization:
        if self._packing == "vagrant-libvirt":
            return VAGRANT_USER
        kernel = kernel_with_drivers(template)
        packages = (*kernel.packages, *VAGRANT_USER.packages)
        return Customization(packages=packages, commands=VAGRANT_USER.commands)

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        check_processor(template, self._target)
        return (Pack(layout=packings.layout(self._packing, template, parameters)),)


def vagrant_libvirt(config: Config) -> Vagrant:
    """Boxes for QEMU, by libvirt."""
    packing: Final = "vagrant-libvirt"
    return Vagrant(config, target=packing, packing=packing, provider="libvirt")


def vagrant_virtualbox(config: Config) -> Vagrant:
    """Boxes for VirtualBox."""
    packing: Final = "vagrant-virtualbox"
    return Vagrant(config, target=packing, packing=packing, provider="virtualbox")


def vagrant_vmware(config: Config) -> Vagrant:
    """Boxes for VMware Fusion and Workstation."""
    return Vagrant(
        config,
        target="vagrant-vmware",
        packing="vagrant-vmware-fusion",
        provider="vmware_desktop",
    )
