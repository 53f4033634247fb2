"""The texts in Vagrant's boxes: metadata, a Vagrantfile, and VMware's description of a machine."""

import json
import uuid
from typing import Any, Final

_GIB: Final = 1 << 30


def metadata(provider: str, **more: Any) -> bytes:
    """`metadata.json`."""
    return json.dumps({"provider": provider, **more}).encode() + b"\n"


def metadata_of_libvirt(capacity: int) -> bytes:
    """`metadata.json` with the disk's size, which vagrant-libvirt takes in whole GiB."""
    return metadata("libvirt", format="qcow2", virtual_size=capacity // _GIB + 1)


def vagrantfile_of_libvirt(sync_directory: str) -> bytes:
    """Folders come by rsync: nothing else works on every guest."""
    return _configure(
        f'  config.vm.synced_folder ".", {_ruby(sync_directory)}, type: "rsync"\n'
        "  config.vm.provider :libvirt do |libvirt|\n"
        '    libvirt.driver = "kvm"\n'
        '    libvirt.storage_pool_name = "default"\n'
        "  end\n"
    )


def vagrantfile_of_virtualbox(mac: str) -> bytes:
    """The card that the box was made with, by which Vagrant finds the one to forward from."""
    return _configure(f"  config.vm.base_mac = {_ruby(mac)}\n")


def vagrantfile_of_vmware() -> bytes:
    """Nothing to be set."""
    return _configure("")


def vagrantfile_of_hyperv() -> bytes:
    """Without synced folders: they want a password of the Windows host's."""
    return _configure('  config.vm.synced_folder ".", "/vagrant", disabled: true\n')


def mac_of(name: str) -> str:
    """A network card's address in VirtualBox's range, always the same for one name."""
    return f"080027{uuid.uuid5(uuid.NAMESPACE_OID, name).hex[:6]}".upper()


def vmx(
    name: str, *, disk: str, cpus: int, memory: int, scsi: str, network: str, nested: bool
) -> bytes:
    """VMware's machine, hardware version 8; `memory` in MiB."""
    words = {
        ".encoding": "UTF-8",
        "config.version": "8",
        "virtualHW.version": "8",
        "displayname": name,
        "guestOS": "other26xlinux-64",
        "numvcpus": str(cpus),
        "memsize": str(memory),
        "scsi0.present": "TRUE",
        "scsi0.virtualDev": scsi,
        "scsi0:0.present": "TRUE",
        "scsi0:0.fileName": disk,
        "ethernet0.present": "TRUE",
        "ethernet0.connectionType": "nat",
        "ethernet0.virtualDev": network,
        "ethernet0.addressType": "generated",
        "pciBridge0.present": "TRUE",
        "pciBridge4.present": "TRUE",
        "pciBridge4.virtualDev": "pcieRootPort",
        "pciBridge4.functions": "8",
        "vmci0.present": "TRUE",
        "powerType.powerOff": "soft",
        "uuid.action": "create",
        **({"vhv.enable": "TRUE"} if nested else {}),
    }
    return "".join(f'{key} = "{_vmware(value)}"\n' for key, value in words.items()).encode()


def _configure(body: str) -> bytes:
    return f'Vagrant.configure("2") do |config|\n{body}end\n'.encode()


def _ruby(text: str) -> str:
    """A text that Ruby takes as it stands."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _vmware(text: str) -> str:
    return text.replace("|", "|7C").replace('"', "|22").replace("\n", "|0A")
