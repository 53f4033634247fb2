"""Hyper-V as a target: a VHD or VHDX, which its people carry there themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed


class HyperV:
    """The target `hyperv`: images, and no pushes."""

    def __init__(self, _config: Config) -> None:
        pass

    @property
    def info(self) -> Info:
        return info("HyperV", "cloud", "Hyper-V: VHD and VHDX images; it has no push")

    @property
    def targets(self) -> Sequence[str]:
        return ("hyperv",)

    def login(self, provider: str, credentials: Secret) -> NoReturn:
        _refuse()

    def customization(self, template: Template) -> Customization:
        return Customization()

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        form = parameters.choice("hyperv_image_format", ("vhd", "vhdx"), default="vhd")
        return (Convert(format="vhdx" if form == "vhdx" else "vhd-dynamic"),)

    def check(self, login: object) -> None:
        _refuse()

    def push(self, image: ProviderImage, disk: Path, login: object, report: Report) -> Pushed:
        _refuse()

    def find(self, token: str, login: object) -> Pushed | None:
        _refuse()

    def delete(self, identifier: str, login: object) -> None:
        _refuse()


def _refuse() -> NoReturn:
    msg = 'Images of the target "hyperv" cannot be pushed'
    hint = 'Download the target image; the target "ova" packs it as a box, "azure" pushes its own'
    raise RequestError(msg, hint=hint)
