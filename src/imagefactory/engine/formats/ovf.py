"""OVF 1.x descriptors (DMTF DSP0243): one machine with one disk, for VMware and for VirtualBox."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from lxml import etree

from imagefactory.engine.formats.archive import Member

_OVF: Final = "http://schemas.dmtf.org/ovf/envelope/1"
_CIM: Final = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2"
_RASD: Final = f"{_CIM}/CIM_ResourceAllocationSettingData"
_VSSD: Final = f"{_CIM}/CIM_VirtualSystemSettingData"
_VMW: Final = "http://www.vmware.com/schema/ovf"
_VBOX: Final = "http://www.virtualbox.org/ovf/machine"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_NAMES: Final[Mapping[str | None, str]] = {None: _OVF, "ovf": _OVF, "rasd": _RASD, "vssd": _VSSD}
_STREAM: Final = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_MEMORY_UNIT: Final = "byte * 2^20"


@dataclass(frozen=True, kw_only=True)
class DiskFile:
    """The disk of a machine, a streamOptimized VMDK."""

    name: str
    size: int  #: bytes of the file
    capacity: int  #: bytes of the disk in it


@dataclass(frozen=True, kw_only=True)
class System:
    """What is installed."""

    id: int  #: of CIM_OperatingSystem.OsType
    version: str | None = None
    description: str | None = None  #: VirtualBox's name of it
    guest: str | None = None  #: VMware's name of it


_VIRTUALBOX_SYSTEMS: Final = {
    "i386": System(id=79, description="RedHat"),
    "x86_64": System(id=80, description="RedHat_64"),
}


@dataclass(frozen=True, kw_only=True)
class VSphere:
    """What a vSphere descriptor says beside the disk; the defaults are the original's."""

    system: System
    id: str = ""  #: of the virtual system
    name: str = ""
    cpus: int = 2
    memory: int = 4096  #: MiB
    hardware: str = "vmx-07 vmx-08"
    scsi: str = "lsilogic"
    network: str = "E1000"
    nested: bool = False  #: the machine may run machines
    cdrom: bool = False
    product: str = "Product Name"
    vendor: str = "Vendor Name"
    version: str = "1.0"


@dataclass(frozen=True, kw_only=True)
class VirtualBox:
    """What a VirtualBox descriptor says beside the disk."""

    name: str
    arch: Literal["i386", "x86_64"]
    mac: str  #: of the first network card, twelve hex digits
    cpus: int = 1
    memory: int = 512  #: MiB


def vsphere(machine: VSphere, disk: DiskFile) -> bytes:
    """The descriptor of a vSphere OVA."""
    configuration = [_vmw("nestedHVEnabled", "true")] if machine.nested else []
    hardware = _section(
        "VirtualHardwareSection",
        "Virtual hardware requirements",
        _system_item(machine.name, machine.hardware),
        *_processors_and_memory(machine.cpus, machine.memory),
        _item(3, 6, "SCSI Controller 0", Address="0", ResourceSubType=machine.scsi),
        *([_item(6, 5, "IDE 0", Address="0")] if machine.cdrom else []),
        _disk_item(4, parent=3),
        _item(
            5, 10, "Network adapter 1",
            AddressOnParent="7", AutomaticAllocation="true", Connection="VM Network",
            ResourceSubType=machine.network,
        ),
        *([_cdrom_item(7, parent=6)] if machine.cdrom else []),
        *configuration,
    )  # fmt: skip
    product = _section(
        "ProductSection",
        "Information about the installed software",
        _text("Product", machine.product),
        _text("Vendor", machine.vendor),
        _text("Version", machine.version),
    )
    system = _system(machine.id, machine.name, machine.system, hardware, product)
    return _envelope(disk, "VM Network", system, more={"vmw": _VMW})


def identified(machine: VSphere, image_id: str) -> VSphere:
    """The machine with the image's id where it has no id or name of its own, as the original has it."""
    return replace(machine, id=machine.id or image_id, name=machine.name or image_id)


def virtualbox(machine: VirtualBox, disk: DiskFile) -> bytes:
    """The descriptor in a box for VirtualBox; its identifiers are derived from name and size."""
    image = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{disk.name} {disk.size} {disk.capacity}"))
    system = _VIRTUALBOX_SYSTEMS[machine.arch]
    hardware = _section(
        "VirtualHardwareSection",
        "Virtual hardware requirements",
        _system_item(machine.name, "virtualbox-2.2"),
        *_processors_and_memory(machine.cpus, machine.memory),
        _item(3, 5, "ideController0", Address="0", ResourceSubType="PIIX4"),
        _disk_item(4, parent=3),
        _item(
            5, 10, "Ethernet adapter on 'NAT'",
            AutomaticAllocation="true", Connection="NAT", ResourceSubType="E1000",
        ),
    )  # fmt: skip
    own = _machine_of_virtualbox(machine, image=image, kind=system.description or "")
    element = _system(machine.name, None, system, hardware, own)
    return _envelope(disk, "NAT", element, more={"vbox": _VBOX}, disk_id=image)


def manifest(members: Sequence[Member]) -> Member:
    """The digests of what is in an OVA (DSP0243, "Distribution"), SHA-256."""
    lines = [f"SHA256({member.name})= {_sha256(member)}\n" for member in members]
    return Member(name="desc.mf", content="".join(lines).encode())


def _sha256(member: Member) -> str:
    if isinstance(member.content, bytes):
        return hashlib.sha256(member.content).hexdigest()
    with member.content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _envelope(
    disk: DiskFile,
    network: str,
    system: etree._Element,
    *,
    more: Mapping[str | None, str],
    disk_id: str | None = None,
) -> bytes:
    names: dict[str | None, str] = {**_NAMES, **more}
    root = etree.Element(f"{{{_OVF}}}Envelope", nsmap=names)
    root.set(f"{{{_OVF}}}version", "1.0")
    root.set(f"{{{_XML}}}lang", "en-US")
    references = etree.SubElement(root, f"{{{_OVF}}}References")
    references.append(_ovf("File", href=disk.name, id="file1", size=str(disk.size)))
    entry = _ovf(
        "Disk",
        capacity=str(disk.capacity),
        capacityAllocationUnits="byte",
        diskId="vmdisk1",
        fileRef="file1",
        format=_STREAM,
        populatedSize=str(disk.size),
    )
    if disk_id is not None:
        entry.set(f"{{{_VBOX}}}uuid", disk_id)
    root.append(_section("DiskSection", "Virtual disk information", entry))
    net = _ovf("Network", name=network)
    net.append(_text("Description", f"The {network} network"))
    root.append(_section("NetworkSection", "The list of logical networks", net))
    root.append(system)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _system(id: str, name: str | None, system: System, *sections: etree._Element) -> etree._Element:
    element = _ovf("VirtualSystem", id=id)
    element.append(_text("Info", "A virtual machine"))
    if name is not None:
        element.append(_text("Name", name))
    kind = _section("OperatingSystemSection", "The kind of installed guest operating system")
    kind.set(f"{{{_OVF}}}id", str(system.id))
    if system.version is not None:
        kind.set(f"{{{_OVF}}}version", system.version)
    if system.guest is not None:
        kind.set(f"{{{_VMW}}}osType", system.guest)
    if system.description is not None:
        kind.append(_text("Description", system.description))
    element.extend([kind, *sections])
    return element


def _processors_and_memory(cpus: int, memory: int) -> Sequence[etree._Element]:
    return [
        _item(
            1, 3, f"{cpus} virtual CPU(s)",
            AllocationUnits="hertz * 10^6", VirtualQuantity=str(cpus),
        ),
        _item(
            2, 4, f"{memory}MB of memory",
            AllocationUnits=_MEMORY_UNIT, VirtualQuantity=str(memory),
        ),
    ]  # fmt: skip


def _disk_item(instance: int, *, parent: int) -> etree._Element:
    words = {"AddressOnParent": "0", "HostResource": "ovf:/disk/vmdisk1", "Parent": str(parent)}
    return _item(instance, 17, "Hard disk 1", **words)


def _cdrom_item(instance: int, *, parent: int) -> etree._Element:
    return _item(
        instance, 15, "CD/DVD Drive 1",
        AddressOnParent="0", AutomaticAllocation="false", Parent=str(parent),
        ResourceSubType="vmware.cdrom.atapi",
    )  # fmt: skip


def _item(instance: int, kind: int, name: str, **words: str) -> etree._Element:
    """A device; its properties come in the order of their names, as CIM's schema has them."""
    item = _ovf("Item")
    known = {"InstanceID": str(instance), "ResourceType": str(kind), "ElementName": name}
    for word, value in sorted({**known, **words}.items()):
        etree.SubElement(item, f"{{{_RASD}}}{word}").text = value
    return item


def _system_item(name: str, kind: str) -> etree._Element:
    system = _ovf("System")
    words = {
        "ElementName": "Virtual Hardware Family",
        "InstanceID": "0",
        "VirtualSystemIdentifier": name,
        "VirtualSystemType": kind,
    }
    for word, value in words.items():
        etree.SubElement(system, f"{{{_VSSD}}}{word}").text = value
    return system


def _vmw(key: str, value: str) -> etree._Element:
    element = etree.Element(f"{{{_VMW}}}Config", nsmap={"vmw": _VMW})
    element.set(f"{{{_OVF}}}required", "false")
    element.set(f"{{{_VMW}}}key", key)
    element.set(f"{{{_VMW}}}value", value)
    return element


def _machine_of_virtualbox(machine: VirtualBox, *, image: str, kind: str) -> etree._Element:
    """VirtualBox's own section, which repeats the hardware in its words; it agrees with the rest."""
    own = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{machine.name} {image}"))
    root = etree.Element(f"{{{_VBOX}}}Machine", nsmap={"vbox": _VBOX, None: _VBOX})
    root.set(f"{{{_OVF}}}required", "false")
    for word, value in {
        "version": "1.12-linux", "uuid": f"{{{own}}}", "name": machine.name, "OSType": kind,
    }.items():  # fmt: skip
        root.set(word, value)
    etree.SubElement(root, f"{{{_OVF}}}Info").text = "VirtualBox's own configuration"
    hardware = _vbox(root, "Hardware", version="2")
    _vbox(hardware, "CPU", count=str(machine.cpus))
    _vbox(hardware, "Memory", RAMSize=str(machine.memory))
    network = _vbox(hardware, "Network")
    adapter = _vbox(
        network, "Adapter",
        slot="0", enabled="true", MACAddress=machine.mac, cable="true", type="82540EM",
    )  # fmt: skip
    _vbox(adapter, "NAT")
    controllers = _vbox(root, "StorageControllers")
    controller = _vbox(
        controllers, "StorageController",
        name="IDE Controller", type="PIIX4", PortCount="2", useHostIOCache="true", Bootable="true",
    )  # fmt: skip
    device = _vbox(controller, "AttachedDevice", type="HardDisk", port="0", device="0")
    _vbox(device, "Image", uuid=f"{{{image}}}")
    return root


def _vbox(parent: etree._Element, tag: str, /, **words: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{_VBOX}}}{tag}", words)


def _section(name: str, info: str, *content: etree._Element) -> etree._Element:
    section = _ovf(name)
    section.append(_text("Info", info))
    section.extend(content)
    return section


def _text(name: str, text: str) -> etree._Element:
    element = _ovf(name)
    element.text = text
    return element


def _ovf(tag: str, /, **words: str) -> etree._Element:
    element = etree.Element(f"{{{_OVF}}}{tag}", nsmap=_NAMES)
    for word, value in words.items():
        element.set(f"{{{_OVF}}}{word}", value)
    return element
