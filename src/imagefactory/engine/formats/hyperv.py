"""The configuration in a virtual machine that Hyper-V exported, as Hyper-V and Vagrant read it."""

import uuid
from dataclasses import dataclass
from typing import Final

from lxml import etree

_IDE: Final = "_83f8638b-8dca-4152-9eda-2ca8b33039b4_"  # Hyper-V's name of the IDE controllers
_MIB_LIMIT: Final = 1 << 20  # MiB that a machine's memory may grow to


@dataclass(frozen=True, kw_only=True)
class HyperVMachine:
    """A machine of generation 1, with its disk on IDE."""

    name: str
    cpus: int = 1
    memory: int = 1024  #: MiB
    disk: str = "disk.vhd"  #: in the folder `Virtual Hard Disks`


def configuration(machine: HyperVMachine) -> bytes:
    """The file `vm.XML`: UTF-16 with a byte order mark, lines that end as Windows ends them."""
    own = uuid.uuid5(uuid.NAMESPACE_OID, f"hyperv {machine.name}")
    root = etree.Element("configuration")
    properties = etree.SubElement(root, "properties")
    _values(
        properties,
        global_id=("string", str(own).upper()),
        name=("string", machine.name),
        notes=("string", "Created by Image Factory"),
        subtype=("integer", "0"),
        type_id=("string", "Virtual Machines"),
        version=("integer", "1280"),
    )
    _controllers(root, machine)
    settings = etree.SubElement(root, "settings")
    _settings(settings, machine)
    text = etree.tostring(root, encoding="unicode", pretty_print=True)
    return (
        ('<?xml version="1.0" encoding="UTF-16" standalone="yes"?>\n' + text)
        .replace("\n", "\r\n")
        .encode("utf-16")
    )


def _controllers(root: etree._Element, machine: HyperVMachine) -> None:
    ide = etree.SubElement(root, _IDE)
    first = etree.SubElement(ide, "controller0")
    drive = etree.SubElement(first, "drive0")
    _values(
        drive,
        pathname=("string", f"Virtual Hard Disks\\{machine.disk}"),
        type=("string", "VHD"),
    )
    for number in (0, 1):
        controller = first if number == 0 else etree.SubElement(ide, "controller1")
        empty = etree.SubElement(controller, "drive1")
        _values(empty, pathname=("string", ""), type=("string", "NONE"))
    _values(ide, version=("integer", "512"))


def _settings(settings: etree._Element, machine: HyperVMachine) -> None:
    memory = etree.SubElement(settings, "memory")
    size = str(machine.memory)
    _values(
        etree.SubElement(memory, "bank"),
        dynamic_memory_enabled=("bool", "False"),
        limit=("integer", str(max(machine.memory, _MIB_LIMIT))),
        reservation=("integer", size),
        size=("integer", size),
    )
    _values(etree.SubElement(settings, "processors"), count=("integer", str(machine.cpus)))
    firmware = etree.SubElement(settings, "bios")
    boot = etree.SubElement(firmware, "boot")
    order = ("HardDrive", "Optical", "Network", "Floppy")
    _values(boot, **{f"device{n}": ("string", device) for n, device in enumerate(order)})


def _values(parent: etree._Element, **values: tuple[str, str]) -> None:
    """Typed values; PowerShell reads the text of elements that have an attribute only."""
    for name, (kind, text) in values.items():
        etree.SubElement(parent, name, type=kind).text = text
