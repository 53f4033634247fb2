"""The root's ext4 file system, made from a tree in the sandbox."""

from pathlib import Path
from typing import Final

from imagefactory.engine.disk import times
from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.layout import (
    BLOCK,
    INODE_SIZE,
    JOURNAL_SIZE,
    KIB,
    MIB,
    SECTOR,
    Contents,
    Layout,
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
_LISTING: Final = r"%y %s %b %n %D:%i\n"  # kind, bytes, sectors, names, which inode


def measure(tree: Tree, *, folder: Path) -> Contents:
    """What the tree needs in the file system. `folder` belongs to the inner root."""
    listing = tree.sandbox.host(
        ["find", "tree", "-printf", _LISTING], cwd=folder, layers=tree.layers, quiet=True
    )
    return count(listing)


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


def make(tree: Tree, *, layout: Layout, ids: DiskIds, epoch: int, folder: Path) -> Path:
    """A file in `folder`, which the inner root owns, that has the file system at its place in the disk.

    The same tree gives the same bytes. Nothing is written where zeros belong.
    """
    disk, config = folder / "disk", folder / "mke2fs.conf"
    write_atomically(config, _CONFIG)
    extended = [
        f"offset={layout.root.start}",
        f"hash_seed={ids.hash_seed}",
        "root_owner=0:0",
        "nodiscard",
        "assume_storage_prezeroed=1",
    ]
    options = {
        "-b": BLOCK,
        "-I": INODE_SIZE,
        "-N": layout.inodes,
        "-J": f"size={JOURNAL_SIZE // MIB}",
        "-O": ",".join(_FEATURES),
        "-e": "remount-ro",
        "-L": _LABEL,
        "-U": ids.filesystem,
        "-E": ",".join(extended),
        "-d": "tree",
    }
    words = [word for option, value in options.items() for word in (option, str(value))]
    tree.sandbox.host(
        ["mkfs.ext4", "-q", "-F", *words, disk.name, f"{layout.root.size // KIB}k"],
        cwd=folder,
        layers=tree.layers,
        env={"MKE2FS_CONFIG": config.name, "E2FSPROGS_FAKE_TIME": str(epoch), "TZ": "UTC"},
    )
    with disk.open("r+b") as file:
        times.settle(file, offset=layout.root.start, epoch=epoch)
    return disk
