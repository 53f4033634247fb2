"""Writes a disk as qcow2, VMDK and tar.gz in one pass: `python -m benchmarks.together DISK FOLDER`."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from imagefactory.engine.formats import chunks
from imagefactory.engine.formats.chunks import Framing
from imagefactory.engine.formats.qcow2 import Qcow2
from imagefactory.engine.formats.targz import TarGz
from imagefactory.engine.formats.vmdk import Vmdk


def main() -> int:
    """Three files, on the disk when this ends."""
    disk, folder = Path(sys.argv[1]), Path(sys.argv[2])
    size, clusters = disk.stat().st_size, chunks.used_clusters(disk)
    with ExitStack() as opened:
        qcow2, vmdk, targz = files = [
            opened.enter_context((folder / f"together.{name}").open("wb"))
            for name in ("qcow2", "vmdk", "tar.gz")
        ]
        framings: list[Framing] = [
            Qcow2(qcow2, virtual_size=size),
            Vmdk(vmdk, virtual_size=size),
            TarGz(targz, virtual_size=size, clusters=clusters),
        ]
        chunks.write(disk, framings, threads=os.cpu_count() or 1)
        for file in files:
            file.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
