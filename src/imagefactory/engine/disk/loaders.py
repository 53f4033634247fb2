"""Fetches the boot loaders of a tree, which its disk's first sectors and EFI partition hold."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk import esp, grub
from imagefactory.engine.disk.ids import DiskIds
from imagefactory.engine.tree import Tree

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
        files = read(tree, [grub.BOOT_IMAGE, grub.CORE_IMAGE])
        return cls(boot=files[grub.BOOT_IMAGE], core=files[grub.CORE_IMAGE])


def efi_files(tree: Tree, ids: DiskIds) -> Mapping[str, bytes]:
    """What the EFI system partition holds, by place: the signed chain where the tree has it."""
    vendor = _vendor(tree)
    sources = esp.sources(signed=grub.find(tree).signed, vendor=vendor)
    files = read(tree, sorted(set(sources.values())))
    loaders = {place: files[path] for place, path in sources.items()}
    return {**loaders, **esp.redirect(ids, vendor=vendor)}


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
