"""The root's ext4 file system, made from a tree in the sandbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.additions import FilesystemType
from imagefactory.engine.disk import times
from imagefactory.engine.disk.ids import DiskIds, VolumeIds
from imagefactory.engine.disk.layout import (
    BLOCK,
    INODE_SIZE,
    JOURNAL_SIZE,
    KIB,
    MIB,
    SECTOR,
    Contents,
    Layout,
    Partition,
)
from imagefactory.engine.files import write_atomically
from imagefactory.engine.tree import Tree

# Named one by one, or they would be those that the host's /etc/mke2fs.conf likes: GRUB 2.06 cannot
# read what newer ones switch on (metadata_csum_seed, orphan_file).
_FEATURES: Final = (
    "none",
    "64bit",
    "dir_index",
    "dir_nlink",
    "ext_attr",
    "extent",
    "extra_isize",
    "filetype",
    "flex_bg",
    "has_journal",
    "huge_file",
    "large_file",
    "metadata_csum",
    "resize_inode",
    "sparse_super",
)
#: instead of the host's, which would add to what is asked for
_CONFIG: Final = f"[fs_types]\n ext4 = {{\n  inode_size = {INODE_SIZE}\n }}\n"
_LABEL: Final = "root"
_USUAL_MODE: Final = 0o755  # of a new file system's root
_LISTING: Final = r"%y %s %b %n %D:%i\n"  # kind, bytes, sectors, names, which inode


#: Hides folders of the tree behind empty ones of the same owner and mode, in this program's namespace alone.
_COVER: Final = """
set -e
number=0
while [ "$1" != -- ]; do
    number=$((number + 1)); empty=empty-$number
    mkdir -p "$empty"
    chown --reference="tree$1" "$empty"; chmod --reference="tree$1" "$empty"
    mount -c -n --bind "$empty" "tree$1"
    shift
done
shift
exec "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A file system of a disk, and which folder of the tree it has."""

    mount: str = "/"
    apart: tuple[str, ...] = ()  #: folders in it that have file systems of their own
    partition: Partition
    inodes: int
    ids: VolumeIds
    label: str = _LABEL
    journal: int = JOURNAL_SIZE  #: bytes
    kind: FilesystemType = "ext4"  #: what it becomes in the end

    @property
    def source(self) -> str:
        """The folder, in a sandbox that has the tree."""
        return _place(self.mount)


def _place(mount: str) -> str:
    return "tree" if mount == "/" else f"tree{mount}"


def root(
    layout: Layout, ids: DiskIds, *, apart: tuple[str, ...] = (), kind: FilesystemType = "ext4"
) -> Volume:
    """The one that has all but what lies `apart`."""
    return Volume(
        apart=apart,
        partition=layout.root,
        inodes=layout.inodes,
        ids=ids.of_root,
        kind=kind,
    )


def measure(tree: Tree, *, folder: Path, mount: str = "/", apart: Sequence[str] = ()) -> Contents:
    """What a folder of the tree needs in a file system. `folder` belongs to the inner root."""
    argv = _covered(["find", _place(mount), "-printf", _LISTING], apart)
    return count(tree.sandbox.host(argv, cwd=folder, layers=tree.layers, quiet=True))


def _covered(argv: list[str], apart: Sequence[str]) -> list[str]:
    return ["sh", "-c", _COVER, "sh", *apart, "--", *argv] if apart else argv


def count(listing: str) -> Contents:
    """Add up a listing; a file with several names counts once, the holes of a file do not."""
    blocks = inodes = 0
    seen = set()
    for line in listing.splitlines():
        kind, size, sectors, names, inode = line.split()
        if kind != "d" and int(names) > 1:
            if inode in seen:
                continue
            seen.add(inode)
        inodes += 1
        match kind:
            case "f":
                blocks += -(-min(int(size), int(sectors) * SECTOR) // BLOCK)
            case "d" | "l":
                blocks += max(1, -(-int(size) // BLOCK))
    return Contents(blocks=blocks, inodes=inodes)


def make(tree: Tree, volume: Volume, *, epoch: int, folder: Path, name: str = "disk") -> Path:
    """The file `name` in `folder`, which the inner root owns, with the file system at its place.

    The same tree gives the same bytes. Nothing is written where zeros belong.
    """
    owner, mode = _owner_and_mode(tree, volume, folder=folder)
    disk, config = folder / name, folder / "mke2fs.conf"
    write_atomically(config, _CONFIG)
    extended = [
        f"offset={volume.partition.start}",
        f"hash_seed={volume.ids.hash_seed}",
        f"root_owner={owner}",
        "nodiscard",
        "assume_storage_prezeroed=1",
    ]
    options = {
        "-b": BLOCK,
        "-I": INODE_SIZE,
        "-N": volume.inodes,
        "-J": f"size={volume.journal // MIB}",
        "-O": ",".join(_FEATURES),
        "-e": "remount-ro",
        "-L": volume.label,
        "-U": volume.ids.filesystem,
        "-E": ",".join(extended),
        "-d": volume.source,
    }
    words = [word for option, value in options.items() for word in (option, str(value))]
    argv = ["mkfs.ext4", "-q", "-F", *words, disk.name, f"{volume.partition.size // KIB}k"]
    tree.sandbox.host(
        _covered(argv, volume.apart),
        cwd=folder,
        layers=tree.layers,
        env={"MKE2FS_CONFIG": config.name, "E2FSPROGS_FAKE_TIME": str(epoch), "TZ": "UTC"},
    )
    if mode != _USUAL_MODE:
        place = f"{disk.name}?offset={volume.partition.start}"
        command = f"set_inode_field <2> mode 04{mode:04o}"
        tree.sandbox.host(["debugfs", "-w", "-R", command, place], cwd=folder)
    with disk.open("r+b") as file:
        times.settle(file, offset=volume.partition.start, epoch=epoch)
    return disk


def _owner_and_mode(tree: Tree, volume: Volume, *, folder: Path) -> tuple[str, int]:
    """What mkfs.ext4 does not take over from the folder. The tree's own root is always root's."""
    if volume.mount == "/":
        return "0:0", _USUAL_MODE
    argv = ["stat", "--format=%u:%g %a", volume.source]
    owner, mode = tree.sandbox.host(argv, cwd=folder, layers=tree.layers, quiet=True).split()
    return owner, int(mode, 8)
