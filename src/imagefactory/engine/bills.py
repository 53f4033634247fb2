"""Writes the bills of materials of a tree, SPDX and CycloneDX, beside the image."""

from collections.abc import Mapping
from typing import Final

import imagefactory
from imagefactory.core import cyclonedx, os_release, spdx
from imagefactory.core.bill import Bill, Digests, Installed
from imagefactory.core.lock import Lock
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build
from imagefactory.engine.tree import Tree

SPDX: Final = "spdx.json"
CYCLONEDX: Final = "cyclonedx.json"


def write_bills(
    build: Build,
    packages: tuple[Installed, ...],
    *,
    lock: Lock,
    files: Mapping[str, Digests],
) -> None:
    """Write `spdx.json` and `cyclonedx.json`; the same tree of the same lock gives the same bytes."""
    tree = Tree.load(build)
    system = os_release.parse((tree.read("/etc/os-release") or b"").decode(errors="replace"))
    bill = Bill(
        distribution=system.get("ID", lock.system.lower()),
        release=system.get("VERSION_ID", lock.version),
        name=f"{lock.system} {lock.version} {lock.arch}",
        key=lock.key(),
        epoch=lock.epoch,
        tool=imagefactory.__version__,
        packages=packages,
        files=files,
    )
    write_atomically(build.artifacts / SPDX, spdx.render(bill))
    write_atomically(build.artifacts / CYCLONEDX, cyclonedx.render(bill))
