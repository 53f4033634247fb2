"""The package that RHEV's and oVirt's export domains hold: a volume, its metadata, an OVF 0.9."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lxml import etree

from imagefactory.engine.formats.archive import Member

_OVF: Final = "http://schemas.dmtf.org/ovf/envelope/1/"
_CIM: Final = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2"
_RASD: Final = f"{_CIM}/CIM_ResourceAllocationSettingData"
_VSSD: Final = f"{_CIM}/CIM_VirtualSystemSettingData"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_SPARSE: Final = "http://www.vmware.com/specifications/vmdk.html#sparse"
_GIB: Final = 1 << 30
_SECTOR: Final = 512


@dataclass(frozen=True, kw_only=True)
class RhevVolume:
    """A disk that is to lie in an export domain."""

    path: Path
    format: Literal["raw", "qcow2"]
    capacity: int  #: bytes of the disk in it

    @property
    def kind(self) -> str:
        """RHEV's word for the format."""
        return "COW" if self.format == "qcow2" else "RAW"


@dataclass(frozen=True, kw_only=True)
class RhevTemplate:
    """A template of RHEV's. Its identifiers are derived from `id`, so that one image is one package."""

    id: str
    name: str
    cpus: int = 1
    memory: int = 512  #: MiB
    description: str = "Created by Image Factory"
    display: str = "0"
    system: str = "OtherLinux"
    created: int = 0  #: seconds since 1970

    @property
    def template(self) -> str:
        """The UUID of the template."""
        return self._derived("template")

    @property
    def image(self) -> str:
        """The UUID of the image, which groups volumes."""
        return self._derived("image")

    @property
    def volume(self) -> str:
        """The UUID of the volume."""
        return self._derived("volume")

    def _derived(self, what: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.id} {what}"))


def members(template: RhevTemplate, volume: RhevVolume) -> tuple[Member, ...]:
    """What lies below an export domain's folder, in the order of the original's package."""
    place = f"images/{template.image}/{template.volume}"
    descriptor = f"master/vms/{template.template}/{template.template}.ovf"
    return (
        Member(name=place, content=volume.path),
        Member(name=f"{place}.meta", content=metadata(template, volume)),
        Member(name=descriptor, content=ovf(template, volume)),
    )


def metadata(template: RhevTemplate, volume: RhevVolume) -> bytes:
    """The volume's metadata, as VDSM reads it."""
    fields = {
        "DOMAIN": str(uuid.UUID(int=0)),
        "VOLTYPE": "LEAF",
        "CTIME": template.created,
        "FORMAT": volume.kind,
        "IMAGE": template.image,
        "DISKTYPE": 1,
        "PUUID": str(uuid.UUID(int=0)),
        "LEGALITY": "LEGAL",
        "MTIME": template.created,
        "POOL_UUID": str(uuid.UUID(int=0)),
        "SIZE": -(-volume.capacity // _SECTOR),
        "TYPE": "SPARSE",
        "DESCRIPTION": "Uploaded by Image Factory",
    }
    return "".join(f"{key}={value}\n" for key, value in fields.items()).encode() + b"EOF\n"


def ovf(template: RhevTemplate, volume: RhevVolume) -> bytes:
    """The descriptor, in the dialect that oVirt's engine reads; sizes in GiB, rounded up."""
    names = {"ovf": _OVF, "rasd": _RASD, "vssd": _VSSD, "xsi": _XSI}
    root = etree.Element(f"{{{_OVF}}}Envelope", nsmap=names)
    root.set(f"{{{_OVF}}}version", "0.9")
    place, size = f"{template.image}/{template.volume}", volume.path.stat().st_size
    references = etree.SubElement(root, "References")
    _ovf(references, "File", href=place, id=template.volume, size=str(size), description="")
    network = _section(root, "NetworkSection", "List of networks")
    _ovf(network, "Network", name="Network 1")
    disks = _section(root, "DiskSection", "List of virtual disks")
    words = {
        "diskId": template.volume,
        "size": str(-(-volume.capacity // _GIB)),
        "actual_size": str(-(-size // _GIB)),
        "vm_snapshot_id": str(uuid.UUID(int=0)),
        "fileRef": place,
        "format": _SPARSE,
        "volume-format": volume.kind,
        "volume-type": "Sparse",
        "disk-interface": "VirtIO",
        "boot": "true",
        "disk-type": "System",
    }
    _ovf(disks, "Disk", **words)
    _content(root, template)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _content(root: etree._Element, template: RhevTemplate) -> None:
    content = etree.SubElement(root, "Content")
    content.set(f"{{{_OVF}}}id", "out")
    content.set(f"{{{_XSI}}}type", "ovf:VirtualSystem_Type")
    created = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(template.created))
    _texts(
        content,
        {
            "Name": template.name,
            "TemplateId": template.template,
            "TemplateName": template.name,
            "Description": template.description,
            "Domain": "",
            "CreationDate": created,
            "TimeZone": "",
            "IsAutoSuspend": "false",
            "IsStateless": "false",
            "VmType": "1",
            "DefaultDisplayType": template.display,
            "Origin": "0",
            "default_boot_sequence": "1",
        },
    )
    system = _section(content, "OperatingSystemSection", "Guest OS")
    system.set(f"{{{_OVF}}}id", template.template)
    system.set(f"{{{_OVF}}}required", "false")
    _texts(system, {"Description": template.system})
    _hardware(content, template)


def _hardware(content: etree._Element, template: RhevTemplate) -> None:
    info = f"{template.cpus} CPU, {template.memory} Memory"
    hardware = _section(content, "VirtualHardwareSection", info)
    system = etree.SubElement(hardware, "System")
    etree.SubElement(system, f"{{{_VSSD}}}VirtualSystemType").text = "RHEVM 4.6.0.163"
    place = f"{template.image}/{template.volume}"
    cpus, memory, null = str(template.cpus), str(template.memory), str(uuid.UUID(int=0))
    items: tuple[Mapping[str, str], ...] = (
        {
            "Caption": f"{cpus} virtual CPU", "Description": "Number of virtual CPU",
            "InstanceId": "1", "ResourceType": "3", "num_of_sockets": cpus, "cpu_per_socket": "1",
        },
        {
            "Caption": f"{memory} MB of memory", "Description": "Memory Size", "InstanceId": "2",
            "ResourceType": "4", "AllocationUnits": "MegaBytes", "VirtualQuantity": memory,
        },
        {
            "Caption": "Drive 1", "InstanceId": template.volume, "ResourceType": "17",
            "HostResource": place, "Parent": null, "Template": null, "ApplicationList": "",
            "StorageId": null, "StoragePoolId": null,
        },
        {
            "Caption": "Ethernet 0 rhevm", "InstanceId": "3", "ResourceType": "10",
            "ResourceSubType": "3", "Connection": "rhevm", "Name": "eth0", "speed": "1000",
        },
        {
            "Caption": "Graphics", "InstanceId": "5", "ResourceType": "20", "VirtualQuantity": "1",
        },
    )  # fmt: skip
    for words in items:
        item = etree.SubElement(hardware, "Item")
        for word, value in words.items():
            etree.SubElement(item, f"{{{_RASD}}}{word}").text = value


def _section(parent: etree._Element, kind: str, info: str) -> etree._Element:
    section = etree.SubElement(parent, "Section")
    section.set(f"{{{_XSI}}}type", f"ovf:{kind}_Type")
    _texts(section, {"Info": info})
    return section


def _ovf(parent: etree._Element, tag: str, /, **words: str) -> None:
    element = etree.SubElement(parent, tag)
    for word, value in words.items():
        element.set(f"{{{_OVF}}}{word}", value)


def _texts(parent: etree._Element, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        etree.SubElement(parent, name).text = text
