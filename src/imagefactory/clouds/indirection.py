"""Indirection: a machine made from a utility image turns a base image into something else."""

import re
from collections.abc import Sequence
from typing import Final, get_args

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template, parse_customizations
from imagefactory.engine.boot.firmware import Firmware
from imagefactory.engine.boot.utility import RunUtility
from imagefactory.engine.plan import Plan
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Info
from imagefactory.plugins.processors import check_processor
from imagefactory.plugins.unpushed import Unpushed

_INPUT: Final = "/input_image.raw"
_RESULTS: Final = "/results/images/boot.iso"
_MEMORY: Final = 2048  # MiB
_FIRMWARES: Final[tuple[Firmware, ...]] = get_args(Firmware)
_PATH: Final = re.compile(r"/?[^/\x00]+(?:/[^/\x00]+)*")


class Indirection(Unpushed):
    """The target `indirection`: what a utility image makes of the input, and no pushes."""

    target = "indirection"
    instead = "Download the target image, or import it as a base image"

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        description = "Indirection: a utility image's machine makes the image; it has no push"
        return info("IndirectionCloud", "cloud", description)

    @property
    def targets(self) -> Sequence[str]:
        return ("indirection",)

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        check_processor(template, "indirection")
        utility = parameters.text("utility_image") or None
        tasks = parameters.text("utility_customizations")
        return (
            RunUtility(
                utility=utility,
                password=template.os.rootpw if utility is None else None,
                tasks=parse_customizations(tasks) if tasks else None,
                input_file=_input(parameters),
                results=_path(parameters, "results_location") or _RESULTS,
                firmware=parameters.choice("utility_firmware", _FIRMWARES, default="bios"),
                processors=_number(parameters, "utility_cpus", default=None),
                memory=(_number(parameters, "utility_memory", default=_MEMORY) or _MEMORY) << 20,
                network=parameters.boolean("network", default=True),
                boot_timeout=self._config.boot_timeout,
                timeout=self._config.timeout,
            ),
        )


def _input(parameters: Parameters) -> str | None:
    """The input's name in the working space; None when it is a disk of its own."""
    device = parameters.text("input_image_device")
    key = "input_image_filename"
    file = _path(parameters, key) or _path(parameters, "input_image_file")  # as documented of old
    space = parameters.text("working_space_device") or "vdb"
    if device and file:
        msg = 'The parameters "input_image_device" and "input_image_filename" exclude each other'
        raise RequestError(msg)
    for name, given, wanted in (
        ("working_space_device", space, "vdb"),
        ("input_image_device", device or "vdc", "vdc"),
    ):
        if given.removeprefix("/dev/") != wanted:
            msg = f'The parameter "{name}" is "{given}", and the device can only be "{wanted}"'
            raise RequestError(msg, hint="A machine names its disks in the order that it has them")
    return None if device else file or _INPUT


def _path(parameters: Parameters, key: str) -> str | None:
    text = parameters.text(key)
    if not text:
        return None
    if not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        msg = f'The parameter "{key}" is "{text}", which is not the path of a file'
        raise RequestError(msg)
    return text


def _number(parameters: Parameters, key: str, *, default: int | None) -> int | None:
    number = parameters.integer(key, default=default)
    if number is not None and number < 1:
        msg = f'The parameter "{key}" is "{number}", which is not 1 or more'
        raise RequestError(msg)
    return number
