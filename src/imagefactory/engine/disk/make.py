"""Makes the disk of a build from its tree."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, ClassVar, Final
from uuid import UUID

from imagefactory.core.additions import Filesystem, FilesystemType
from imagefactory.core.errors import CommandFailed, SpaceError
from imagefactory.engine.disk import bios, btrfs, esp, ext4, gpt
from imagefactory.engine.disk.ext4_files import Ext4Files
from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.labels import inside, label, labels
from imagefactory.engine.disk.layout import (
    DEFAULT_SIZE,
    SECTOR,
    Firmware,
    Layout,
    Partition,
    check_room,
    journal_size,
    lay_out,
)
from imagefactory.engine.disk.loaders import BiosLoader, efi_files
from imagefactory.engine.disk.mounts import Mounts
from imagefactory.engine.disk.origin import Origin
from imagefactory.engine.disk.platforms import Platform, platform_of
from imagefactory.engine.files import sync_folder
from imagefactory.engine.formats.sparse import extents
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Tree

#: of the host, that write the disk
PROGRAMS: Final = ("mkfs.ext4", "mkfs.vfat", "mmd", "mcopy")

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, kw_only=True)
class MakeDisk(Step):
    """Makes `build.disk`, raw and sparse, from the tree that `PrepareBoot` has prepared.

    `SpaceError` when the tree does not fit, or when the host has no room. Notes `format`,
    `virtual_size` in bytes, and `firmware`.
    """

    weight: ClassVar[int] = 3

    name: str  #: the same as `PrepareBoot`'s, as are firmware and arch
    size: int = DEFAULT_SIZE  #: bytes
    firmware: Firmware = Firmware.BOTH
    arch: str = "x86_64"  #: TDL's name
    root: FilesystemType = "ext4"
    filesystems: tuple[Filesystem, ...] = ()  #: beside the root's

    @property
    def activity(self) -> str:
        return "Making the disk"

    def run(self, build: Build) -> None:
        origin, tree = Origin.of(build), Tree.load(build)
        ids, epoch = origin.ids(self.name), origin.epoch
        mounts = Mounts.of(origin, self.name, root=self.root, beside=self.filesystems)
        platform = platform_of(self.arch)
        folder = build.scratch / "disk.partial"
        with _told_when_full(self.name), _working_in(folder, tree.sandbox):
            layout = self._layout(tree, folder=folder)
            volumes = self._volumes(tree, layout, origin, folder=folder)
            with ThreadPoolExecutor(1) as beside:
                loaders = beside.submit(
                    _loaders, tree, layout, ids, mounts, platform, folder=folder, epoch=epoch
                )
                root = ext4.root(layout, ids, apart=self._apart("/"), kind=self.root)
                # The inner root's, which makes file systems in it.
                tree.sandbox.host(["truncate", f"--size={layout.size}", "disk"], cwd=folder)
                disk, found = folder / "disk", labels(tree)
                for volume in (root, *volumes):
                    _fill(tree, volume, inside(found, volume), epoch=epoch, disk=disk)
                build.report(70)
                content, loader = loaders.result()
            with disk.open("r+b") as file:
                if content and layout.esp:
                    copy_in(content, file, at=layout.esp.start)
                partitions = [volume.ids.partition for volume in volumes]
                write_start(
                    file, layout, ids=ids, platform=platform, loader=loader, others=partitions
                )
                _hand_over(file)
            disk.rename(build.disk)
        sync_folder(build.scratch)
        build.note(format="raw", virtual_size=layout.size, firmware=str(self.firmware))

    def _layout(self, tree: Tree, *, folder: Path) -> Layout:
        contents = ext4.measure(tree, folder=folder, apart=self._apart("/"))
        return lay_out(
            contents,
            size=self.size,
            firmware=self.firmware,
            name=self.name,
            others=[filesystem.size or 0 for filesystem in self.filesystems],
        )

    def _volumes(
        self, tree: Tree, layout: Layout, origin: Origin, *, folder: Path
    ) -> list[ext4.Volume]:
        """The file systems beside the root's."""
        volumes = []
        for filesystem, partition in zip(self.filesystems, layout.others, strict=True):
            mount, size = filesystem.mount, partition.size
            apart = self._apart(mount)
            contents = ext4.measure(tree, folder=folder, mount=mount, apart=apart)
            volumes.append(
                ext4.Volume(
                    mount=mount,
                    apart=apart,
                    partition=partition,
                    inodes=check_room(contents, size=size, mount=mount),
                    ids=origin.volume_ids(self.name, mount),
                    label=mount.strip("/").replace("/", "-").encode()[:16].decode(errors="ignore"),
                    journal=journal_size(size),
                    kind=filesystem.type or "ext4",
                )
            )
        return volumes

    def _apart(self, mount: str) -> tuple[str, ...]:
        """The outermost of the file systems that are mounted below `mount`."""
        above = mount.rstrip("/") + "/"
        inside = [one.mount for one in self.filesystems if one.mount.startswith(above)]
        return tuple(
            sorted(
                one for one in inside if not any(one.startswith(f"{other}/") for other in inside)
            )
        )


def _fill(
    tree: Tree, volume: ext4.Volume, found: Mapping[str, str], *, epoch: int, disk: Path
) -> None:
    """Write one file system into the disk, whose files get the labels that were `found`.

    btrfs is made of an ext4: that has all that the inner root sees of the files, where it is
    read without being in the sandbox.
    """
    place, folder = volume.partition, disk.parent
    if volume.kind == "ext4":
        ext4.make(tree, volume, epoch=epoch, folder=folder)
        label(tree, found, offset=place.start, disk=disk, epoch=epoch)
        return
    alone = replace(volume, partition=Partition(number=1, start=0, size=place.size))
    copied = ext4.make(tree, alone, epoch=epoch, folder=folder, name="copied")
    label(tree, found, offset=0, disk=copied, epoch=epoch)
    with copied.open("rb") as source, disk.open("r+b") as target:
        btrfs.write(
            Ext4Files(source, offset=0, name=volume.mount),
            target,
            offset=place.start,
            size=place.size,
            ids=volume.ids,
            label=volume.label,
            mount=volume.mount,
        )
    copied.unlink()


def _loaders(
    tree: Tree,
    layout: Layout,
    ids: DiskIds,
    mounts: Mounts,
    platform: Platform,
    *,
    folder: Path,
    epoch: int,
) -> tuple[Path | None, BiosLoader | None]:
    """The content of the EFI system partition, and what a BIOS starts: made beside the root."""
    content = None
    if layout.esp:
        content = esp.make(
            efi_files(tree, mounts, platform),
            partition=layout.esp,
            ids=ids,
            epoch=epoch,
            sandbox=tree.sandbox,
            folder=folder,
        )
    return content, BiosLoader.of(tree) if layout.bios else None


def write_start(
    file: IO[bytes],
    layout: Layout,
    *,
    ids: DiskIds,
    platform: Platform,
    loader: BiosLoader | None,
    others: Sequence[UUID] = (),
) -> None:
    """Write what a disk has outside its file systems: the partition table, and what a BIOS starts."""
    table = gpt.table(
        entries(layout, ids, platform, others), disk=ids.disk, sectors=layout.size // SECTOR
    )
    _put(file, table.primary, at=0)
    _put(file, table.backup, at=layout.size - len(table.backup))
    if loader and layout.bios:
        core_at = layout.bios.start // SECTOR
        core = bios.core_image(loader.core, at=core_at, room=layout.bios.size)
        _put(file, core, at=layout.bios.start)
        mbr = table.primary[:SECTOR]
        _put(file, bios.boot_sector(loader.boot, mbr=mbr, core_at=core_at), at=0)


def entries(
    layout: Layout, ids: DiskIds, platform: Platform, others: Sequence[UUID] = ()
) -> list[gpt.Entry]:
    """The partition table's entries; `others` are the ids of the layout's others."""
    rows = (
        (layout.bios, gpt.BIOS_BOOT, ids.bios, "bios"),
        (layout.esp, gpt.EFI_SYSTEM, ids.esp, "esp"),
        *(
            (partition, gpt.LINUX_DATA, own, "data")
            for partition, own in zip(layout.others, others, strict=True)
        ),
        (layout.root, platform.root, ids.root, "root"),
    )
    return [
        gpt.Entry(
            number=partition.number,
            type=kind,
            id=own,
            first=partition.start // SECTOR,
            last=partition.end // SECTOR - 1,
            name=name,
        )
        for partition, kind, own, name in rows
        if partition
    ]


def copy_in(source: Path, file: IO[bytes], *, at: int) -> None:
    """Copy a sparse file to a place in another, which has zeros there."""
    with source.open("rb") as reader:
        size = os.fstat(reader.fileno()).st_size
        for start, end in extents(reader.fileno(), size):
            reader.seek(start)
            _put(file, reader.read(end - start), at=at + start)


def _hand_over(file: IO[bytes]) -> None:
    """Make a file of the inner root's the factory's own, and safe from a power cut."""
    file.flush()
    os.fchown(file.fileno(), os.geteuid(), os.getegid())
    os.fsync(file.fileno())


def _put(file: IO[bytes], data: bytes, *, at: int) -> None:
    file.seek(at)
    file.write(data)


@contextmanager
def _working_in(folder: Path, sandbox: Sandbox) -> Iterator[None]:
    """An empty folder of the inner root's, gone when the block ends."""
    sandbox.remove(folder)
    sandbox.own(folder)
    try:
        yield
    finally:
        sandbox.remove(folder)


@contextmanager
def _told_when_full(name: str) -> Iterator[None]:
    """Say in one sentence that the host is full, whoever noticed."""
    msg = f'This machine has no room for the disk of "{name}"'
    hint = "Free some space where the factory keeps its state"
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise SpaceError(msg, hint=hint) from error
    except CommandFailed as error:
        if not any(os.strerror(number) in error.tail for number in _FULL):
            raise
        raise SpaceError(msg, hint=hint) from error
