"""Targets of the original whose services have ended: listed still, and refused with a sentence."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed


class Gone:
    """A target that once was: every image and every login is the client's mistake."""

    def __init__(self, *, name: str, target: str, instead: str) -> None:
        self._name = name
        self._target = target
        self._instead = instead  #: what to do about it

    @property
    def info(self) -> Info:
        return info(self._name, "cloud", f"{self._name}: its service is gone. {self._instead}")

    @property
    def targets(self) -> Sequence[str]:
        return (self._target,)

    def login(self, provider: str, credentials: Secret) -> NoReturn:
        self._refuse()

    def customization(self, template: Template) -> Customization:
        return Customization()

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        self._refuse()

    def check(self, login: object) -> None:
        self._refuse()

    def push(self, image: ProviderImage, disk: Path, login: object, report: Report) -> Pushed:
        self._refuse()

    def find(self, token: str, login: object) -> Pushed | None:
        self._refuse()

    def delete(self, identifier: str, login: object) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        msg = f'The service behind the target "{self._target}" is gone'
        raise RequestError(msg, hint=self._instead)


def rackspace(_config: Config) -> Gone:
    """Rackspace's image import, which took VHDs from Cloud Files."""
    instead = 'The target "hyperv" makes a VHD, "openstack-kvm" pushes to an OpenStack of today'
    return Gone(name="Rackspace", target="rackspace", instead=instead)


def atlas(_config: Config) -> Gone:
    """HashiCorp's Atlas, which kept Vagrant's boxes."""
    instead = 'The targets "vagrant-libvirt", "vagrant-virtualbox" and "vagrant-vmware" make boxes'
    return Gone(name="Atlas", target="atlas", instead=instead)
