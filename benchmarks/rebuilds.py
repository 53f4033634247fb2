"""How much the bodies of ten rebuilds take as shared chunks, beside as many compressed qcow2 files.

`python -m benchmarks.rebuilds TREE PACKAGES…`: a folder of a system, and a folder below it for each
rebuild, whose files are another package each time.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import UUID

from imagefactory.core.config import Config
from imagefactory.engine.command import Tools
from imagefactory.engine.formats import writing
from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.formats.kinds import Output
from imagefactory.store.bodies import Bodies

_SIZE = "2G"


def main() -> int:
    """Print both sizes and their ratio."""
    tree, packages = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    with tempfile.TemporaryDirectory(prefix="imagefactory-bench-") as name:
        folder = Path(name)
        bodies = Bodies.open(Config(state=folder / "state", plain_bodies=False))
        system, peers = folder / "system", 0
        shutil.copytree(tree, system, symlinks=True)
        for number, package in enumerate(packages):
            shutil.copytree(package, system / "package", symlinks=True)
            disk = _disk(system, folder / "disk")
            shutil.rmtree(system / "package")
            qcow2 = folder / "peer.qcow2"
            output = Output(format="qcow2").chosen()
            writing.write(inspect(disk), qcow2, output, tools=Tools(), scratch=folder)
            peers += qcow2.stat().st_blocks * 512
            qcow2.unlink()
            bodies.seal(str(UUID(int=number)), disk)
        ours = sum(path.stat().st_blocks * 512 for path in bodies.folder.rglob("*"))
    sys.stdout.write(
        f"shared chunks {ours >> 20} MiB, qcow2 {peers >> 20} MiB: {ours / peers:.2f}\n"
    )
    return 0


def _disk(tree: Path, disk: Path) -> Path:
    options = ["-q", "-F", "-U", str(UUID(int=7)), "-E", f"hash_seed={UUID(int=7)}"]
    with disk.open("wb"):
        subprocess.run(["mkfs.ext4", *options, "-d", tree, disk, _SIZE], check=True)
    return disk


if __name__ == "__main__":
    sys.exit(main())
