"""The packings that parameters ask for: which there are of each target's image, and their defaults."""

from collections.abc import Mapping
from typing import Final, Literal

from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.formats import ovf, pack
from imagefactory.engine.formats.pack import Layout
from imagefactory.plugins import folders

#: target of the image that is packed -> what it may become; the first is the default
PACKINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "rhevm": ("rhevm", "vagrant-libvirt"),
    "vsphere": ("vsphere", "vagrant-virtualbox", "vagrant-vmware-fusion"),
    "hyperv": ("hyperv-vagrant", "hyperv"),
}
ALL: Final = (
    "vsphere",
    *(name for names in PACKINGS.values() for name in names if name != "vsphere"),
)

_RED_HAT: Final = ("RHEL", "CentOS", "Fedora", "Rocky", "AlmaLinux", "ScientificLinux", "Oracle")


def choose(source: str | None, parameters: Parameters) -> str:
    """The name of the packing. `source` is the target of the image to pack, None a base image.

    `RequestError` for an image that cannot be packed.
    """
    if source is None:
        return parameters.choice("ova_format", ALL, default=ALL[0])
    if source not in PACKINGS:
        msg = f'An image of the target "{source}" cannot be packed as an OVA'
        known = ", ".join(f'"{name}"' for name in sorted(PACKINGS))
        raise RequestError(msg, hint=f"Give a base image, or a target image of one of: {known}")
    names = PACKINGS[source]
    return parameters.choice(f"{source}_ova_format", names, default=names[0])


def layout(packing: str, template: Template, parameters: Parameters) -> Layout:
    """The layout of a packing; `RequestError` names a parameter that is wrong."""
    match packing:
        case "vsphere":
            return _vsphere(template, parameters)
        case "rhevm":
            return _rhevm(template, parameters)
        case "vagrant-libvirt":
            return _libvirt_box(template, parameters)
        case "vagrant-virtualbox":
            return _virtualbox_box(template, parameters)
        case "vagrant-vmware-fusion":
            return _vmware_box(template, parameters)
        case "hyperv" | "hyperv-vagrant":
            return _hyperv(template, parameters, vagrant=packing == "hyperv-vagrant")
        case _:
            msg = f'There is no packing "{packing}"'
            raise ValueError(msg)


def _vsphere(template: Template, parameters: Parameters) -> Layout:
    read = _Reader(parameters)
    red_hat = template.os.name.startswith(_RED_HAT)
    default = "rhel6_64Guest" if red_hat else "otherLinux64Guest"
    system = ovf.System(
        # CIM's numbers: Red Hat Enterprise Linux 64-bit, Linux 64-bit
        id=80 if red_hat else 101,
        version="6" if red_hat else None,
        guest=read.text("vsphere_os_type", default),
    )
    machine = ovf.VSphere(
        name=parameters.text("ovf_name") or "",
        system=system,
        cpus=read.count("ovf_cpu_count", 2),
        memory=read.count("ovf_memory_mb", 4096),
        hardware=read.text("vsphere_virtual_system_type", "vmx-07 vmx-08"),
        scsi=parameters.choice(
            "vsphere_scsi_controller_type", ("lsilogic", "VirtualSCSI"), default="lsilogic"
        ),
        network=parameters.choice(
            "vsphere_network_controller_type", ("E1000", "VmxNet3"), default="E1000"
        ),
        nested=parameters.boolean("vsphere_nested_virt", default=False),
        cdrom=parameters.boolean("vsphere_cdrom", default=False),
        product=read.text("vsphere_product_name", "Product Name"),
        vendor=read.text("vsphere_product_vendor_name", "Vendor Name"),
        version=read.text("vsphere_product_version", "1.0"),
    )
    return pack.VSphereOva(name=read.text("ovf_name", template.name), machine=machine)


def _rhevm(template: Template, parameters: Parameters) -> Layout:
    read = _Reader(parameters)
    return pack.RhevOva(
        name=read.text("ovf_name", template.name),
        cpus=read.count("ovf_cpu_count", 1),
        memory=read.count("ovf_memory_mb", 512),
        description=read.text("rhevm_description", "Created by Image Factory"),
        display=read.text("rhevm_default_display_type", "0"),
        system=read.text("rhevm_os_descriptor", "OtherLinux"),
    )


def _libvirt_box(template: Template, parameters: Parameters) -> Layout:
    read = _Reader(parameters)
    return pack.LibvirtBox(
        name=read.text("ovf_name", template.name),
        sync_directory=read.text("vagrant_sync_directory", "/vagrant"),
    )


def _virtualbox_box(template: Template, parameters: Parameters) -> Layout:
    read = _Reader(parameters)
    arch: Literal["i386", "x86_64"]
    match template.os.arch:
        case "i386" | "x86_64" as known:
            arch = known
        case _:
            msg = "Virtualbox OVF architecture must be i386 or x86_64"
            raise RequestError(msg)
    return pack.VirtualBoxBox(
        name=read.file("ovf_name", template.name),
        arch=arch,
        cpus=read.count("ovf_cpu_count", 1),
        memory=read.count("ovf_memory_mb", 512),
    )


def _vmware_box(template: Template, parameters: Parameters) -> Layout:
    read = _Reader(parameters)
    return pack.VMwareBox(
        name=read.file("ovf_name", template.name),
        cpus=read.count("ovf_cpu_count", 1),
        memory=read.count("ovf_memory_mb", 1024),
        scsi=read.text("fusion_scsi_controller_type", "lsilogic"),
        network=read.text("fusion_network_controller_type", "e1000"),
        nested=parameters.boolean("fusion_nested_virt", default=False),
    )


def _hyperv(template: Template, parameters: Parameters, *, vagrant: bool) -> Layout:
    read = _Reader(parameters)
    return pack.HyperVBox(
        name=read.text("ovf_name", template.name),
        cpus=read.count("ovf_cpu_count", 1),
        memory=read.count("ovf_memory_mb", 1024),
        vagrant=parameters.boolean("hyperv_vagrant", default=vagrant),
    )


class _Reader:
    """Parameters whose empty text means the default, as the original took them."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def text(self, key: str, default: str) -> str:
        """One line."""
        text = self._parameters.text(key) or default
        if not text.isprintable():
            msg = f'The parameter "{key}" is not a line of text'
            raise RequestError(msg)
        return text

    def file(self, key: str, default: str) -> str:
        """The beginning of a member's name."""
        text = self.text(key, folders.stem(default)).replace(" ", "_")
        if "/" in text or text.startswith("."):
            msg = f'The parameter "{key}" is "{text}", which cannot begin a file\'s name'
            raise RequestError(msg)
        return text

    def count(self, key: str, default: int) -> int:
        """A number of at least one."""
        number = self._parameters.integer(key) or default
        if number < 1:
            msg = f'The parameter "{key}" is "{number}", which is not a number above 0'
            raise RequestError(msg)
        return number
