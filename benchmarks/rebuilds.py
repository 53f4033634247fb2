"""How much the bodies of ten rebuilds take as shared chunks, beside as many compressed qcow2 files."""

import shutil
import subprocess
from pathlib import Path
from typing import Final
from uuid import UUID

from benchmarks import ours, results
from benchmarks.ours import Factory
from benchmarks.rows import Row
from imagefactory.core.config import Config
from imagefactory.store.bodies import Bodies

#: another one in each rebuild
_PACKAGES: Final = (
    "bc", "file", "htop", "jq", "lsof", "ncdu", "pv", "strace", "tree", "zstd",
)  # fmt: skip
_LIMIT: Final = 0.25


def measure(runs: int) -> None:
    """Build ten times, and keep all ten both ways; once is enough, for sizes do not vary."""
    del runs
    machine = results.machine()
    with ours.factory() as factory:
        folder = factory.state / "rebuilds"
        shutil.rmtree(folder, ignore_errors=True)
        factory.forget_images()
        try:
            shared, single = _kept(factory, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            factory.forget_images()
    row = Row(
        work="disk space of ten rebuilds",
        ours=shared / (1 << 20),
        unit="MiB",
        limit=_LIMIT,
        against="qemu-img, compressed qcow2",
        theirs=single / (1 << 20),
    )
    results.keep(
        "rebuilds",
        {"machine": machine, "packages": _PACKAGES},
        text=f"Rebuilds of one template with one package more: {', '.join(_PACKAGES)}\n",
        rows=[row],
    )


def _kept(factory: Factory, folder: Path) -> tuple[int, int]:
    bodies = Bodies.open(Config(state=folder, plain_bodies=False))
    single, peer = 0, folder / "peer.qcow2"
    for number, package in enumerate(_PACKAGES):
        disk = Path(factory.built(factory.template(package))["data"])
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-m", "16", "-W"]
        subprocess.run([*convert, disk, peer], check=True)
        single += peer.stat().st_blocks * 512
        peer.unlink()
        bodies.seal(str(UUID(int=number)), disk)
    shared = sum(path.stat().st_blocks * 512 for path in bodies.folder.rglob("*"))
    return shared, single
