"""A bootable disk of the same packages, from nothing and from layers: ours beside mkosi's."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks import efforts, ours, peers, results, tables
from benchmarks.chroot import Chroot
from benchmarks.efforts import Effort, Work
from benchmarks.floors import floor
from benchmarks.rows import Row

_ADDED: Final = "htop"
_AGAIN: Final = 1.0  # seconds
_MEMORY: Final = 400  # MiB


def measure(runs: int) -> None:
    """Build in turn, and keep the figures; `FactoryError` when a build of ours fails."""
    machine = results.machine()
    with ours.factory() as factory:
        chroot = Chroot.made(ours.FOLDER / "peers", factory.mirror)
        template, more = factory.template(), factory.template(_ADDED)
        factory.forget_images()
        body = factory.built(template)
        factory.built(more)  # fills our cache of packages
        lock = factory.lock(template)
        mkosi = peers.mkosi(chroot, factory.mirror, lock=lock, folder=ours.FOLDER / "work")
        added = peers.mkosi(
            chroot, factory.mirror, lock=lock, folder=ours.FOLDER / "work", added=_ADDED
        )
        efforts.once(mkosi)  # and this its own
        efforts.once(added)
        cold = factory.work(
            "ours, cold", factory.base_image(template), prepare=factory.forget_layers
        )
        written = factory.state / "floor"
        command = floor(written, _used(Path(body["data"])), factory.packages(lock))
        least = Work(name="floor", command=command, written=(written,))
        first = efforts.in_turn([cold, mkosi, least], runs=runs)
        factory.built(template)  # makes the layer again
        one_more = factory.work("ours", factory.base_image(more))
        second = efforts.in_turn([one_more, added], runs=runs)
        (again,) = efforts.in_turn([factory.work("ours", factory.base_image(template))], runs=runs)
        written.unlink()
        factory.forget_images()
    shown = {
        "ours, cold": first[0],
        "mkosi, cold": first[1],
        "floor: decode the packages, write the disk": first[2],
        f"ours, {_ADDED} more": second[0],
        f"mkosi, {_ADDED} more": second[1],
        "ours, again": again,
    }
    results.keep(
        "cold",
        {
            "machine": machine,
            "runs": runs,
            "packages": len(lock.packages),
            "efforts": {name: asdict(effort) for name, effort in shown.items()},
        },
        text=tables.of_efforts(shown),
        rows=[
            Row.of_time(
                "cold build", first[0], limit=0.25, peer=first[1], against="mkosi", floor=first[2]
            ),
            Row.of_time(
                "one package more", second[0], limit=0.20, peer=second[1],
                against="mkosi, incremental",
            ),
            Row.of_time("same again", again, limit=_AGAIN),
            _memory([first[0], second[0], again]),
        ],
    )  # fmt: skip


def _used(disk: Path) -> int:
    return disk.stat().st_blocks * 512


def _memory(all_ours: list[Effort]) -> Row:
    peak = max(effort.peak for effort in all_ours) / (1 << 20)
    return Row(work="memory of builds", ours=peak, unit="MiB", limit=_MEMORY)
