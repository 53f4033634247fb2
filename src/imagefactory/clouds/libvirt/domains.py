"""Defines the machine that has a volume as its disk, under the image's own id as its UUID."""

from typing import Any

from lxml import etree

from imagefactory.clouds.libvirt.connection import found, sdk
from imagefactory.clouds.libvirt.login import USER_NETWORK, LibvirtLogin
from imagefactory.core.errors import CloudError


def check_network(connection: Any, name: str) -> None:
    """`CloudError` when a machine could not be connected to it."""
    if name == USER_NETWORK:
        return
    if found(lambda: connection.networkLookupByName(name)) is None:
        msg = f'The libvirt at "{connection.getURI()}" has no network "{name}"'
        known = ", ".join(f'"{network.name()}"' for network in connection.listAllNetworks(0))
        raise CloudError(msg, hint=f'It has {known or "none"}; "{USER_NETWORK}" needs none')


def domain_of(connection: Any, token: str) -> Any:
    """The machine of a token, None when there is none."""
    return found(lambda: connection.lookupByUUIDString(token))


def define(
    connection: Any, login: LibvirtLogin, *, token: str, name: str, volume: str, form: str
) -> None:
    """Define the machine, unless that is done, and start it where it shall run."""
    domain = domain_of(connection, token)
    if domain is None:
        kind = _kind(connection)
        text = described(login, token=token, name=name, volume=volume, form=form, kind=kind)
        domain = connection.defineXML(text)
    if login.mode == "domain" and not domain.isActive():
        domain.create()


def remove(connection: Any, token: str) -> None:
    """End the machine and all that libvirt keeps of it."""
    libvirt = sdk()
    domain = domain_of(connection, token)
    if domain is None:
        return
    if domain.isActive():
        found(domain.destroy)
    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )
    found(lambda: domain.undefineFlags(flags))


def described(
    login: LibvirtLogin, *, token: str, name: str, volume: str, form: str, kind: str
) -> str:
    """The machine (libvirt, "Domain XML format"): a PC with paravirtual devices and a serial console."""
    domain = etree.Element("domain", type=kind)
    for tag, text in (("name", name), ("uuid", token)):
        etree.SubElement(domain, tag).text = text
    etree.SubElement(domain, "description").text = "Made by Image Factory"
    etree.SubElement(domain, "memory", unit="MiB").text = str(login.memory)
    etree.SubElement(domain, "vcpu").text = str(login.cpus)
    system = etree.SubElement(domain, "os")
    if login.firmware == "efi":
        system.set("firmware", "efi")
    etree.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    etree.SubElement(system, "boot", dev="hd")
    features = etree.SubElement(domain, "features")
    for tag in ("acpi", "apic"):
        etree.SubElement(features, tag)
    etree.SubElement(domain, "cpu", mode="host-passthrough" if kind == "kvm" else "maximum")
    etree.SubElement(domain, "clock", offset="utc")
    devices = etree.SubElement(domain, "devices")
    disk = etree.SubElement(devices, "disk", type="volume", device="disk")
    etree.SubElement(disk, "driver", name="qemu", type=form, discard="unmap")
    etree.SubElement(disk, "source", pool=login.pool, volume=volume)
    etree.SubElement(disk, "target", dev="vda", bus="virtio")
    _add_network(devices, login.network)
    etree.SubElement(devices, "serial", type="pty")
    console = etree.SubElement(devices, "console", type="pty")
    etree.SubElement(console, "target", type="serial")
    channel = etree.SubElement(devices, "channel", type="unix")
    etree.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    rng = etree.SubElement(devices, "rng", model="virtio")
    etree.SubElement(rng, "backend", model="random").text = "/dev/urandom"
    return etree.tostring(domain, encoding="unicode")


def _add_network(devices: etree._Element, network: str) -> None:
    if network == USER_NETWORK:
        interface = etree.SubElement(devices, "interface", type="user")
    else:
        interface = etree.SubElement(devices, "interface", type="network")
        etree.SubElement(interface, "source", network=network)
    etree.SubElement(interface, "model", type="virtio")


def _kind(connection: Any) -> str:
    """KVM where the host has it, else QEMU's own emulation."""
    capabilities = etree.fromstring(connection.getCapabilities())
    kinds = capabilities.xpath("guest/arch[@name='x86_64']/domain/@type")
    return "kvm" if isinstance(kinds, list) and "kvm" in kinds else "qemu"
