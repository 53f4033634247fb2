"""The same packages through the peers that promise nothing to us: who works here, and how long it takes."""

import subprocess
from dataclasses import asdict
from pathlib import Path

from benchmarks import efforts, ours, peers, results, tables
from benchmarks.chroot import Chroot
from benchmarks.efforts import Effort, Work
from imagefactory.core.errors import BuildError


def measure(runs: int) -> None:
    """Let each make its disk, if it can here, and ours in turn with it."""
    machine = results.machine()
    with ours.factory() as factory:
        chroot = Chroot.made(ours.FOLDER / "peers", factory.mirror)
        template = factory.template()
        factory.forget_images()
        factory.built(template)  # fills our cache of packages
        lock = factory.lock(template)
        cold = factory.work(
            "ours, cold", factory.base_image(template), prepare=factory.forget_layers
        )
        shown: dict[str, Effort | str] = {}
        works: dict[str, Work] = {"ours, cold": cold}
        for name, told in peers.OTHERS.items():
            work = told(chroot, factory.mirror, lock=lock, folder=ours.FOLDER / "work")
            try:
                efforts.once(work)  # fills the mirror's folder
            except BuildError as error:
                _detach(work)
                shown[name] = f"does not work here: {error}"
            else:
                works[name] = work
        measured = efforts.in_turn(list(works.values()), runs=runs)
        factory.forget_images()
    shown = {**dict(zip(works, measured, strict=True)), **shown}
    results.keep(
        "others",
        {
            "machine": machine,
            "runs": runs,
            "packages": len(lock.packages),
            "efforts": {
                name: effort if isinstance(effort, str) else asdict(effort)
                for name, effort in shown.items()
            },
        },
        text=tables.of_efforts(shown),
    )


def _detach(work: Work) -> None:
    """Free the loop devices that a failed program has left."""
    for path in work.written:
        asked: list[str | Path] = [
            "losetup",
            "--noheadings",
            "--output",
            "NAME",
            "--associated",
            path,
        ]
        told = subprocess.run(asked, capture_output=True, text=True, check=False)
        for device in told.stdout.split():
            subprocess.run(["losetup", "--detach", device], check=False)
