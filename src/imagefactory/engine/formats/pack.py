"""The step that packs a disk with what describes it: OVAs and Vagrant's boxes."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

from imagefactory.engine.files import sync_folder
from imagefactory.engine.formats import archive, hyperv, ovf, rhev, vagrant, writing
from imagefactory.engine.formats.archive import Member
from imagefactory.engine.formats.detect import Disk, inspect
from imagefactory.engine.formats.kinds import FormatName, Output
from imagefactory.engine.plan import Build, Step

#: what an archive's disk is; `sparse` is the VMDK that VMware runs from, `vmdk` the streamOptimized
Form = Literal["qcow2", "vmdk", "sparse", "vhd"]

_FORMATS: Final[Mapping[Form, FormatName]] = {
    "qcow2": "qcow2",
    "vmdk": "vmdk",
    "vhd": "vhd-dynamic",
}
_VMDK_FLAGS: Final = struct.Struct("<8xI")
_VMDK_DEFLATED: Final = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Layout(ABC):
    """What an archive consists of."""

    form: ClassVar[Form]  #: of the disk in it
    may_be_raw: ClassVar[bool] = False  #: a raw disk is packed as it is
    gzip: ClassVar[bool] = False

    name: str  #: the machine's

    @abstractmethod
    def members(self, disk: Disk, *, image_id: str) -> tuple[Member, ...]:
        """The members in their order."""


@dataclass(frozen=True, kw_only=True)
class VSphereOva(Layout):
    """`desc.ovf` and `disk.vmdk`, as the original has them, then the manifest."""

    form: ClassVar[Form] = "vmdk"

    machine: ovf.VSphere  #: without `id`, its image's is taken, and without `name` too

    def members(self, disk: Disk, *, image_id: str) -> tuple[Member, ...]:
        machine = ovf.identified(self.machine, image_id)
        descriptor = Member(name="desc.ovf", content=ovf.vsphere(machine, _file(disk, "disk.vmdk")))
        listed = (descriptor, Member(name="disk.vmdk", content=disk.path))
        return (*listed, ovf.manifest(listed))


@dataclass(frozen=True, kw_only=True)
class RhevOva(Layout):
    """What an export domain holds."""

    form: ClassVar[Form] = "qcow2"
    may_be_raw: ClassVar[bool] = True
    gzip: ClassVar[bool] = True

    cpus: int
    memory: int  #: MiB
    description: str
    display: str
    system: str

    def members(self, disk: Disk, *, image_id: str) -> tuple[Member, ...]:
        template = rhev.RhevTemplate(
            id=image_id,
            name=self.name,
            cpus=self.cpus,
            memory=self.memory,
            description=self.description,
            display=self.display,
            system=self.system,
        )
        form: Literal["raw", "qcow2"] = "raw" if disk.format == "raw" else "qcow2"
        volume = rhev.RhevVolume(path=disk.path, format=form, capacity=disk.virtual_size)
        return rhev.members(template, volume)


@dataclass(frozen=True, kw_only=True)
class LibvirtBox(Layout):
    """Vagrant's box for libvirt."""

    form: ClassVar[Form] = "qcow2"
    gzip: ClassVar[bool] = True

    sync_directory: str

    def members(self, disk: Disk, *, image_id: str) -> tuple[Member, ...]:  # noqa: ARG002
        texts = vagrant.vagrantfile_of_libvirt(self.sync_directory)
        return (
            Member(name="Vagrantfile", content=texts),
            Member(name="metadata.json", content=vagrant.metadata_of_libvirt(disk.virtual_size)),
            Member(name="box.img", content=disk.path),
        )


@dataclass(frozen=True, kw_only=True)
class VirtualBoxBox(Layout):
    """Vagrant's box for VirtualBox."""

    form: ClassVar[Form] = "vmdk"

    arch: Literal["i386", "x86_64"]
    cpus: int
    memory: int  #: MiB

    def members(self, disk: Disk, *, image_id: str) -> tuple[Member, ...]:  # noqa: ARG002
        mac = vagrant.mac_of(self.name)
        machine = ovf.VirtualBox(
            name=self.name, arch=self.arch, mac=mac, cpus=self.cpus, memory=self.memory
        )
        file = f"{self.name}.vmdk"
        return (
            Member(name="box.ovf", content=ovf.virtualbox(machine, _file(disk, file))),
            Member(name=file, content=disk.path),
            Member(name="Vagrantfile", content=vagrant.vagrantfile_of_virtualbox(mac)),
            Member(name="metadata.json", content=vagrant.metadata("virtualbox")),
        )


@dataclass(frozen=True, kw_only=True)
class VMwareBox(Layout):
    """Vagrant's box for VMware Fusion and Workstation."""

    form: ClassVar[Form] = "sparse"
    gzip: ClassVar[bool] = True

    cpus: int
    memory: int  #: MiB
    scsi: str
    network: str
    nested: bool

    def members(self, disk: Disk, *, image_id: str) -> tuple[Member, ...]:  # noqa: ARG002
        file = f"{self.name}-disk1.vmdk"
        machine = vagrant.vmx(
            self.name,
            disk=file,
            cpus=self.cpus,
            memory=self.memory,
            scsi=self.scsi,
            network=self.network,
            nested=self.nested,
        )
        return (
            Member(name=f"{self.name}.vmx", content=machine),
            Member(name=f"{self.name}.vmxf", content=b""),
            Member(name=file, content=disk.path),
            Member(name="Vagrantfile", content=vagrant.vagrantfile_of_vmware()),
            Member(name="metadata.json", content=vagrant.metadata("vmware_desktop")),
        )


@dataclass(frozen=True, kw_only=True)
class HyperVBox(Layout):
    """What Hyper-V exports, with Vagrant's files or without."""

    form: ClassVar[Form] = "vhd"
    gzip: ClassVar[bool] = True

    cpus: int
    memory: int  #: MiB
    vagrant: bool

    def members(self, disk: Disk, *, image_id: str) -> tuple[Member, ...]:  # noqa: ARG002
        machine = hyperv.HyperVMachine(name=self.name, cpus=self.cpus, memory=self.memory)
        exported = (
            Member(name="Virtual Machines/vm.XML", content=hyperv.configuration(machine)),
            Member(name="Virtual Hard Disks/disk.vhd", content=disk.path),
        )
        if not self.vagrant:
            return exported
        return (
            *exported,
            Member(name="metadata.json", content=vagrant.metadata("hyperv")),
            Member(name="Vagrantfile", content=vagrant.vagrantfile_of_hyperv()),
        )


@dataclass(frozen=True, kw_only=True)
class Pack(Step):
    """Write `build.source`, a disk of any form, and its description as one archive.

    A raw disk becomes what the layout wants by our own framings where we have one; the same disk is
    then the same archive. Notes `format`, `virtual_size` in bytes.
    """

    weight: ClassVar[int] = 12

    layout: Layout

    @property
    def activity(self) -> str:
        return f'Packing the disk of "{self.layout.name}"'

    def run(self, build: Build) -> None:
        if build.source is None:
            msg = "A plan packs a disk, and the build has none"
            raise ValueError(msg)
        with _fresh(build.disk.with_suffix(".member")) as converted:
            disk = self._disk(build, inspect(build.source), converted)
            members = self.layout.members(disk, image_id=build.id)
            with _fresh(build.disk.with_suffix(".part")) as unfinished:
                self._write(build, members, unfinished)
                unfinished.replace(build.disk)
            sync_folder(build.scratch)
        build.note(format="tar.gz" if self.layout.gzip else "tar", virtual_size=disk.virtual_size)

    def _disk(self, build: Build, source: Disk, target: Path) -> Disk:
        """The disk in the form that the layout wants."""
        form = self.layout.form
        if _form(source) == form or (source.format == "raw" and self.layout.may_be_raw):
            return source
        if form == "sparse":
            words = ["-f", source.format, "-O", "vmdk", "-o", "subformat=monolithicSparse"]
            build.tools.run(["qemu-img", "convert", *words, source.path, target], quiet=True)
        else:
            output = Output(format=_FORMATS[form]).chosen()
            writing.write(
                source,
                target,
                output,
                tools=build.tools,
                scratch=build.scratch,
                percent=lambda percent: build.report(percent * 6 // 10),
            )
        return inspect(target)

    def _write(self, build: Build, members: Sequence[Member], target: Path) -> None:
        size = max(archive.total(members), 1)

        def advance(position: int) -> None:
            build.tools.cancellation.check()
            build.report(60 + 40 * position // size)

        archive.write(target, members, gzip=self.layout.gzip, advance=advance)


def _form(disk: Disk) -> Form | None:
    """The form that a disk has; None for those that no archive holds."""
    match disk.format:
        case "qcow2" | "vhd" as form:
            return form
        case "vmdk":
            with disk.path.open("rb") as file:
                (flags,) = _VMDK_FLAGS.unpack(file.read(_VMDK_FLAGS.size))
            return "vmdk" if flags & _VMDK_DEFLATED else "sparse"
        case _:
            return None


@contextmanager
def _fresh(path: Path) -> Iterator[Path]:
    """A name that nothing has, before and after."""
    path.unlink(missing_ok=True)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _file(disk: Disk, name: str) -> ovf.DiskFile:
    return ovf.DiskFile(name=name, size=disk.path.stat().st_size, capacity=disk.virtual_size)
