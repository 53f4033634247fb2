"""RHEV and oVirt as a target: a disk that people upload there themselves."""

from collections.abc import Sequence

from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.plan import Plan
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Info
from imagefactory.plugins.unpushed import Unpushed


class Rhevm(Unpushed):
    """The target `rhevm`: images, which `ova` packs, and no pushes."""

    target = "rhevm"
    instead = 'Download the target image and upload it to oVirt; the target "ova" packs it'

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info("RHEVM", "cloud", "RHEV and oVirt: qcow2 and raw images; it has no push")

    @property
    def targets(self) -> Sequence[str]:
        return ("rhevm",)

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        form = parameters.choice(
            "rhevm_image_format", ("raw", "qcow2"), default=self._config.rhevm_image_format
        )
        if form == "raw":
            return (Convert(format="raw"),)
        return (Convert(format="qcow2", compression="none"),)
