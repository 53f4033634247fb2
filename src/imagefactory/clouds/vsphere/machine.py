"""Describes the machine that a template is, by the descriptor that an OVA has, too."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.engine.formats import ovf
from imagefactory.engine.formats.detect import inspect

PREFIX: Final = "factory-image-"  #: of a template's name, as the original gave it
NETWORK: Final = "VM Network"  #: what the descriptor calls the network
_LINUX: Final = 101  # CIM_OperatingSystem.OsType: Linux 64-bit


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is to be imported."""

    name: str
    token: str
    annotation: str
    descriptor: str  #: OVF


def name_of(token: str) -> str:
    """The name of the template of a provider image."""
    return f"{PREFIX}{token}"


def described(image: ProviderImage, disk: Path) -> Machine:
    """The machine of an image; `CloudError` for a disk that vSphere does not import."""
    facts = inspect(disk)
    if facts.format != "vmdk":
        msg = f'The disk of the image "{image.id}" is no streamOptimized VMDK'
        raise CloudError(msg, hint='Push a target image of the target "vsphere"')
    given = Parameters(image.parameters or {})
    name = name_of(image.id)
    machine = ovf.VSphere(
        id=name,
        name=name,
        system=ovf.System(id=_LINUX, guest=given.text("vsphere_os_type") or "otherLinux64Guest"),
        cpus=given.integer("ovf_cpu_count") or 1,
        memory=given.integer("ovf_memory_mb") or 512,
        hardware="vmx-13",  # that of vSphere 6.5
        scsi=given.choice(
            "vsphere_scsi_controller_type", ("lsilogic", "VirtualSCSI"), default="lsilogic"
        ),
        network=given.choice(
            "vsphere_network_controller_type", ("E1000", "VmxNet3"), default="E1000"
        ),
        product=image.name or name,
        vendor="Image Factory",
    )
    file = ovf.DiskFile(name="disk.vmdk", size=disk.stat().st_size, capacity=facts.virtual_size)
    return Machine(
        name=name,
        token=image.id,
        annotation=f'Built by Image Factory from the template "{image.name or ""}"',
        descriptor=ovf.vsphere(machine, file).decode(),
    )
