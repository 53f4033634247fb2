"""Hyper-V as a target: a VHD or VHDX, which its people carry there themselves."""

from collections.abc import Sequence

from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.plan import Plan
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Info
from imagefactory.plugins.processors import check_processor
from imagefactory.plugins.unpushed import Unpushed


class HyperV(Unpushed):
    """The target `hyperv`: images, and no pushes."""

    target = "hyperv"
    instead = (
        'Download the target image; the target "ova" packs it as a box, "azure" pushes its own'
    )

    def __init__(self, _config: Config) -> None:
        pass

    @property
    def info(self) -> Info:
        return info("HyperV", "cloud", "Hyper-V: VHD and VHDX images; it has no push")

    @property
    def targets(self) -> Sequence[str]:
        return ("hyperv",)

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        check_processor(template, "hyperv")
        form = parameters.choice("hyperv_image_format", ("vhd", "vhdx"), default="vhd")
        return (Convert(format="vhdx" if form == "vhdx" else "vhd-dynamic"),)
