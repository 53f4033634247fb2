"""Archives of a disk: their members, in order, are what hypervisors and Vagrant expect."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import pytest
from lxml import etree

from fakes.build import Told, a_build
from imagefactory.engine.formats import ovf, pack
from imagefactory.engine.formats.pack import Layout, Pack
from imagefactory.engine.plan import Build

SIZE: Final = 3 << 30
NAMES: Final = {
    "o": "http://schemas.dmtf.org/ovf/envelope/1",
    "r": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData",
    "v": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData",
    "b": "http://www.virtualbox.org/ovf/machine",
}
ID: Final = "9ac0d5c5-2b2a-4f3b-9d5a-0d4d3f6b7c11"

VSPHERE: Final = pack.VSphereOva(
    name="web", machine=ovf.VSphere(system=ovf.System(id=101, guest="otherLinux64Guest"))
)
RHEVM: Final = pack.RhevOva(
    name="web", cpus=1, memory=512, description="d", display="0", system="OtherLinux"
)
LIBVIRT: Final = pack.LibvirtBox(name="web", sync_directory="/vagrant's \\ own")
VIRTUALBOX: Final = pack.VirtualBoxBox(name="web", arch="x86_64", cpus=1, memory=512)
VMWARE: Final = pack.VMwareBox(
    name="web", cpus=1, memory=1024, scsi="lsilogic", network="e1000", nested=True
)
HYPERV: Final = pack.HyperVBox(name="web", cpus=1, memory=1024, vagrant=True)

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A raw disk of 3 GiB that holds little."""
    disk = tmp_path / "base.body"
    with disk.open("wb") as file:
        file.truncate(SIZE)
        file.write(b"\xeb\x63\x90" + os.urandom(1 << 20))
        file.seek(2 << 30)
        file.write(b"text" * 50_000)
    return disk


def packed(tmp_path: Path, source: Path, layout: Layout) -> Build:
    build = a_build(tmp_path, source=source, told=Told())
    Pack(layout=layout).run(build)
    assert {path.name for path in build.scratch.iterdir()} == {"disk", "notes.json"}
    assert build.notes()["virtual_size"] == SIZE
    return build


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        infos = tar.getmembers()
        assert {(one.mtime, one.uid, one.gid, one.mode) for one in infos} == {(0, 0, 0, 0o644)}
        return {one.name: _content(tar, one) for one in infos}


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file
    return file.read()


@pytest.mark.parametrize(
    ("layout", "names", "compressed"),
    [
        (VSPHERE, ["desc.ovf", "disk.vmdk", "desc.mf"], False),
        (LIBVIRT, ["Vagrantfile", "metadata.json", "box.img"], True),
        (VIRTUALBOX, ["box.ovf", "web.vmdk", "Vagrantfile", "metadata.json"], False),
        pytest.param(
            VMWARE,
            ["web.vmx", "web.vmxf", "web-disk1.vmdk", "Vagrantfile", "metadata.json"],
            True,
            marks=needs_qemu_img,
        ),
        (
            HYPERV,
            [
                "Virtual Machines/vm.XML",
                "Virtual Hard Disks/disk.vhd",
                "metadata.json",
                "Vagrantfile",
            ],
            True,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layout) else "",
)
@needs_qemu_img
def test_the_members_come_in_order_and_the_disk_is_the_disk(
    tmp_path: Path, source: Path, layout: Layout, names: list[str], *, compressed: bool
) -> None:
    archive = packed(tmp_path, source, layout).disk
    assert archive.read_bytes().startswith(b"\x1f\x8b") == compressed
    found = members(archive)
    assert list(found) == names
    [disk] = [name for name in names if name.endswith((".vmdk", ".img", ".vhd"))]
    out = tmp_path / "disk-in-it"
    out.write_bytes(found[disk])
    form = {".vmdk": "vmdk", ".img": "qcow2", ".vhd": "vpc"}[Path(disk).suffix]
    compare: list[str | Path] = ["qemu-img", "compare", "-f", "raw", "-F", form, source, out]
    subprocess.run(compare, check=True, capture_output=True)


def test_the_same_disk_is_the_same_archive(tmp_path: Path, source: Path) -> None:
    for layout in (VSPHERE, LIBVIRT, VIRTUALBOX, HYPERV):
        digests = set()
        for life in ("one", "two"):
            (tmp_path / life).mkdir()
            disk = packed(tmp_path / life, source, layout).disk
            digests.add(hashlib.sha256(disk.read_bytes()).hexdigest())
            shutil.rmtree(tmp_path / life)
        assert len(digests) == 1, layout


def test_a_disk_that_is_packed_already_goes_in_as_it_is(tmp_path: Path, source: Path) -> None:
    (tmp_path / "first").mkdir()
    first = members(packed(tmp_path / "first", source, VSPHERE).disk)
    vmdk = tmp_path / "target.body"
    vmdk.write_bytes(first["disk.vmdk"])
    assert members(packed(tmp_path, vmdk, VIRTUALBOX).disk)["web.vmdk"] == first["disk.vmdk"]


def test_a_raw_disk_is_a_raw_volume_of_rhev(tmp_path: Path, source: Path) -> None:
    with source.open("r+b") as file:
        file.truncate((64 << 20) + 512)
    build = a_build(tmp_path, source=source)
    Pack(layout=RHEVM).run(build)
    place, meta, descriptor = members(build.disk).items()
    assert re.fullmatch(r"images/[0-9a-f-]{36}/[0-9a-f-]{36}", place[0])
    assert place[1] == source.read_bytes()
    assert meta[0] == f"{place[0]}.meta"
    lines = meta[1].decode().splitlines()
    assert " ".join(line.partition("=")[0] for line in lines) == (
        "DOMAIN VOLTYPE CTIME FORMAT IMAGE DISKTYPE PUUID LEGALITY MTIME POOL_UUID SIZE TYPE "
        "DESCRIPTION EOF"
    )
    assert {"FORMAT=RAW", f"SIZE={(64 << 11) + 1}", "VOLTYPE=LEAF", "LEGALITY=LEGAL"} < set(lines)
    template = Path(descriptor[0]).stem
    assert descriptor[0] == f"master/vms/{template}/{template}.ovf"
    root = etree.fromstring(descriptor[1])
    ovf_ = "{http://schemas.dmtf.org/ovf/envelope/1/}"
    disk = root.find("Section/Disk")
    assert disk is not None
    assert (disk.get(f"{ovf_}size"), disk.get(f"{ovf_}volume-format")) == ("1", "RAW")
    assert disk.get(f"{ovf_}fileRef") == place[0].removeprefix("images/")
    assert root.findtext("Content/Section/Description") == "OtherLinux"


def test_an_ova_is_listed_in_its_manifest(tmp_path: Path, source: Path) -> None:
    found = members(packed(tmp_path, source, VSPHERE).disk)
    lines = dict(re.findall(r"SHA256\((.+)\)= ([0-9a-f]{64})\n", found.pop("desc.mf").decode()))
    assert lines == {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}


@pytest.mark.parametrize("layout", [VSPHERE, VIRTUALBOX], ids=lambda one: type(one).__name__)
def test_a_descriptor_refers_to_what_is_there(tmp_path: Path, source: Path, layout: Layout) -> None:
    found = members(packed(tmp_path, source, layout).disk)
    root = etree.fromstring(next(data for name, data in found.items() if name.endswith(".ovf")))
    o = f"{{{NAMES['o']}}}"
    assert [str(child.tag).removeprefix(o) for child in root] == [
        *("References", "DiskSection", "NetworkSection", "VirtualSystem")
    ]
    [file] = root.iterfind("o:References/o:File", NAMES)
    assert file.get(f"{o}size") == str(len(found[str(file.get(f"{o}href"))]))
    [disk] = root.iterfind("o:DiskSection/o:Disk", NAMES)
    assert disk.get(f"{o}fileRef") == file.get(f"{o}id")
    assert disk.get(f"{o}capacity") == str(SIZE)
    items = list(root.iterfind(".//o:Item", NAMES))
    ids = [item.findtext("r:InstanceID", namespaces=NAMES) for item in items]
    assert len(set(ids)) == len(ids)
    for item in items:
        words = [child.tag for child in item]
        assert words == sorted(words), "CIM's schema has them in this order"
        parent = item.findtext("r:Parent", namespaces=NAMES)
        assert parent is None or parent in ids
    kinds = [item.findtext("r:ResourceType", namespaces=NAMES) for item in items]
    assert sorted(kinds, key=str) == sorted(
        ["3", "4", "17", "10", "6" if layout is VSPHERE else "5"]
    )
    networks = {one.get(f"{o}name") for one in root.iterfind(".//o:Network", NAMES)}
    assert {one.text for one in root.iterfind(".//r:Connection", NAMES)} <= networks
    if layout is VSPHERE:
        [system] = root.iterfind("o:VirtualSystem", NAMES)
        assert (system.get(f"{o}id"), system.findtext("o:Name", namespaces=NAMES)) == (ID, ID)


def test_virtualboxs_own_section_agrees_with_the_rest(tmp_path: Path, source: Path) -> None:
    found = members(packed(tmp_path, source, VIRTUALBOX).disk)
    root = etree.fromstring(found["box.ovf"])
    [disk] = root.iterfind(".//o:Disk", NAMES)
    [image] = root.iterfind(".//b:Image", NAMES)
    own = disk.get(f"{{{NAMES['b']}}}uuid")
    assert image.get("uuid") == f"{{{own}}}"
    [adapter] = root.iterfind(".//b:Adapter", NAMES)
    assert f"config.vm.base_mac = '{adapter.get('MACAddress')}'" in found["Vagrantfile"].decode()


def test_a_machine_of_hyper_v_is_what_vagrant_reads(tmp_path: Path, source: Path) -> None:
    found = members(packed(tmp_path, source, HYPERV).disk)
    text = found["Virtual Machines/vm.XML"].decode("utf-16")
    assert "\n" not in text.replace("\r\n", "")
    root = etree.fromstring(found["Virtual Machines/vm.XML"])
    assert root.findtext("properties/subtype") == "0"
    assert root.findtext("properties/name") == "web"
    assert root.findtext("settings/processors/count") == "1"
    assert root.findtext("settings/memory/bank/size") == "1024"
    [drive] = root.xpath("//*[starts-with(name(.), 'controller')]/*[type='VHD']")
    assert drive.findtext("pathname") == "Virtual Hard Disks\\disk.vhd"
    assert all(element.attrib for element in root.iter() if element.text and element.text.strip())


def test_what_a_client_says_cannot_leave_its_text(tmp_path: Path, source: Path) -> None:
    file = members(packed(tmp_path, source, LIBVIRT).disk)["Vagrantfile"].decode()
    assert "'/vagrant\\'s \\\\ own', type: \"rsync\"" in file


def test_the_size_in_a_box_for_libvirt_is_in_gib(tmp_path: Path, source: Path) -> None:
    found = members(packed(tmp_path, source, LIBVIRT).disk)
    told = json.loads(found["metadata.json"])
    assert told == {"provider": "libvirt", "format": "qcow2", "virtual_size": 4}


@needs_qemu_img
def test_vmware_runs_machines_in_machines_where_asked(tmp_path: Path, source: Path) -> None:
    found = members(packed(tmp_path, source, VMWARE).disk)
    assert 'vhv.enable = "TRUE"' in found["web.vmx"].decode()
    assert 'virtualHW.version = "8"' in found["web.vmx"].decode()
    assert found["web.vmxf"] == b""


@pytest.mark.integration
def test_virt_v2v_reads_an_ova(tmp_path: Path, source: Path) -> None:
    if shutil.which("virt-v2v") is None:
        pytest.skip("virt-v2v, which reads OVAs as hypervisors do, is not installed")
    build = packed(tmp_path, source, VSPHERE)
    ova = build.disk.rename(tmp_path / "web.ova")
    told = subprocess.run(
        ["virt-v2v", "-i", "ova", ova, "--print-source", "-o", "null"],
        env={**os.environ, "LIBGUESTFS_BACKEND": "direct", "TMPDIR": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    facts = " ".join(told.split())
    assert f"source name: {ID}" in facts
    assert "vCPUs: 2" in facts
    assert "memory: 4294967296" in facts
    assert "disks: 0 [scsi]" in facts
    assert 'NICs: Bridge "VM Network" [e1000]' in facts
