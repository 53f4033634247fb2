"""The EFI system partition: which files it holds, and the FAT file system around them."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final
from uuid import UUID

from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.disk.layout import SECTOR, Partition
from imagefactory.engine.disk.platforms import Platform
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


def sources(platform: Platform, *, signed: bool, vendor: str, folder: str) -> Mapping[str, str]:
    """Place in the partition -> file of the tree. `vendor` is the `ID` of the tree's `os-release`, and `folder`
    is GRUB's.

    Firmware that was told nothing looks into `EFI/BOOT` (UEFI specification 2.10, section 3.5.1.1); the
    vendor's folder is where the system's own `grub-install` puts newer ones.
    """
    own, efi = f"EFI/{vendor}", platform.efi
    if not signed:
        core = f"{folder}/{platform.core_efi}"
        return {platform.default: core, f"{own}/grub{efi}.efi": core}
    return {
        platform.default: platform.shim,
        f"EFI/BOOT/grub{efi}.efi": platform.signed_grub,
        f"EFI/BOOT/mm{efi}.efi": platform.signed_key_manager,
        f"{own}/shim{efi}.efi": platform.shim,
        f"{own}/grub{efi}.efi": platform.signed_grub,
        f"{own}/mm{efi}.efi": platform.signed_key_manager,
    }


def redirect(filesystem: UUID, *, vendor: str, folder: str) -> Mapping[str, bytes]:
    """The file by which a GRUB in the partition finds its menu in the folder of a file system."""
    text = _REDIRECT.format(filesystem=filesystem, folder=folder)
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
