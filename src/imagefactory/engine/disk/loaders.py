"""Fetches the boot loaders of a tree, which its disk's first sectors and EFI partition hold."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Self

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk import esp, grub
from imagefactory.engine.disk.mounts import Mounts
from imagefactory.engine.disk.platforms import Platform
from imagefactory.engine.tree import Tree

_ESP: Final = "/boot/efi"
_DEPTH: Final = 4  # slashes of /boot/efi/EFI/<vendor>
_PLACED: Final = f"[ ! -d {_ESP}/EFI ] || find {_ESP}/EFI -type f"
_LINE: Final = 64 << 10  # characters; many short lines take longer to read than to make
_READ: Final = f'for path; do base64 --wrap={_LINE} "$path"; echo; done'
_ID: Final = re.compile(r"^ID=[\"']?([a-z0-9._-]+)", re.MULTILINE)  # os-release(5)


@dataclass(frozen=True, kw_only=True)
class BiosLoader:
    """GRUB's two pieces for a BIOS, as the tree has them."""

    boot: bytes
    core: bytes

    @classmethod
    def of(cls, tree: Tree) -> Self:
        folder = grub.folder(tree)
        boot, core = f"{folder}/{grub.BOOT_IMAGE}", f"{folder}/{grub.CORE_IMAGE}"
        files = read(tree, [boot, core])
        return cls(boot=files[boot], core=files[core])


def efi_files(tree: Tree, mounts: Mounts, platform: Platform) -> Mapping[str, bytes]:
    """What the EFI system partition holds, by place: the signed chain where the tree has it.

    Packages of the RPM family put theirs where the partition will be mounted.
    """
    folder = grub.folder(tree)
    filesystem, menu = mounts.boot.filesystem, mounts.for_loader(folder)
    placed = tree.run(["sh", "-c", _PLACED], quiet=True).splitlines()
    default = f"{_ESP}/{platform.default}".upper()
    if any(path.upper() == default for path in placed):
        files = read(tree, placed)
        vendors = {PurePosixPath(path).parts[4] for path in placed if path.count("/") > _DEPTH}
        redirects = [esp.redirect(filesystem, vendor=vendor, folder=menu) for vendor in vendors]
        loaders = {path.removeprefix(f"{_ESP}/"): data for path, data in files.items()}
        return {**loaders, **{place: text for one in redirects for place, text in one.items()}}
    vendor = _vendor(tree)
    signed = grub.find(tree, platform).signed
    sources = esp.sources(platform, signed=signed, vendor=vendor, folder=folder)
    files = read(tree, sorted(set(sources.values())))
    loaders = {place: files[path] for place, path in sources.items()}
    return {**loaders, **esp.redirect(filesystem, vendor=vendor, folder=menu)}


def read(tree: Tree, paths: Iterable[str]) -> Mapping[str, bytes]:
    """Files of the tree, by path. Read by a program inside, so that no link leads out."""
    wanted = list(paths)
    texts = tree.run(["sh", "-ec", _READ, "sh", *wanted], quiet=True).split("\n\n")
    return {path: base64.b64decode(text) for path, text in zip(wanted, texts, strict=False)}


def _vendor(tree: Tree) -> str:
    found = _ID.search((tree.read("/etc/os-release") or b"").decode(errors="replace"))
    if found is None:
        msg = 'The system\'s "/etc/os-release" has no ID'
        raise BuildError(msg)
    return found[1]
