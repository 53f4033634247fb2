"""The EFI system partition: which files it holds, and the FAT file system around them."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from imagefactory.engine.disk import grub
from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.layout import SECTOR, Partition
from imagefactory.engine.files import write_atomically
from imagefactory.engine.sandbox import Sandbox

# The signed GRUB reads a file of this content from the folder that its distribution built into it.
_REDIRECT: Final = """\
search.fs_uuid {filesystem} root
set prefix=($root)'{folder}'
configfile $prefix/grub.cfg
"""

# mcopy takes a folder's files in no certain order, and the same files shall give the same bytes.
_FILL: Final = """
set -e
image=$1; shift
while [ "$1" != -- ]; do mmd -i "$image" "::$1"; shift; done
shift
while [ $# -gt 0 ]; do mcopy -i "$image" "$1" "::$2"; shift 2; done
"""


def sources(*, signed: bool, vendor: str, folder: str) -> Mapping[str, str]:
    """Place in the partition -> file of the tree. `vendor` is the `ID` of the tree's `os-release`, and `folder`
    is GRUB's.

    Firmware that was told nothing looks into `EFI/BOOT` (UEFI specification 2.10, section 3.5.1.1); the
    vendor's folder is where the system's own `grub-install` puts newer ones.
    """
    own = f"EFI/{vendor}"
    if not signed:
        core = f"{folder}/{grub.CORE_EFI}"
        return {"EFI/BOOT/BOOTX64.EFI": core, f"{own}/grubx64.efi": core}
    return {
        "EFI/BOOT/BOOTX64.EFI": grub.SHIM,
        "EFI/BOOT/grubx64.efi": grub.SIGNED_GRUB,
        "EFI/BOOT/mmx64.efi": grub.SIGNED_KEY_MANAGER,
        f"{own}/shimx64.efi": grub.SHIM,
        f"{own}/grubx64.efi": grub.SIGNED_GRUB,
        f"{own}/mmx64.efi": grub.SIGNED_KEY_MANAGER,
    }


def redirect(ids: DiskIds, *, vendor: str, folder: str) -> Mapping[str, bytes]:
    """The file by which a GRUB in the partition finds its menu on the root."""
    text = _REDIRECT.format(filesystem=ids.filesystem, folder=folder)
    return {f"EFI/{vendor}/grub.cfg": text.encode()}


def make(
    files: Mapping[str, bytes],
    *,
    partition: Partition,
    ids: DiskIds,
    epoch: int,
    sandbox: Sandbox,
    folder: Path,
) -> Path:
    """The partition's content as a sparse file in `folder`, which the inner root owns."""
    env = {"MTOOLSRC": "/dev/null", "SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC"}
    image = "esp"
    geometry = ["-F", "32", "-S", str(SECTOR), "-h", str(partition.start // SECTOR)]
    names = ["-i", f"{ids.serial:08x}", "-n", "ESP"]
    blocks = str(partition.size // 1024)
    sandbox.host(
        ["mkfs.vfat", "-C", "--invariant", *geometry, *names, image, blocks],
        cwd=folder,
        env=env,
        quiet=True,
    )
    pairs: list[str] = []
    for number, (place, data) in enumerate(sorted(files.items())):
        write_atomically(folder / f"esp-{number}", data)
        pairs += [f"esp-{number}", place]
    words = [image, *_folders(files), "--", *pairs]
    sandbox.host(["sh", "-c", _FILL, "mcopy", *words], cwd=folder, env=env)
    return folder / image


def _folders(files: Mapping[str, bytes]) -> list[str]:
    """Every folder that the files need, the outer before the inner."""
    return sorted(
        {str(parent) for place in files for parent in PurePosixPath(place).parents} - {"."}
    )
