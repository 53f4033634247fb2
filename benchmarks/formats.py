"""Our formats beside those of qemu-img, pigz and zstd: programs in turn on the same disk."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks import efforts, ours, results, tables
from benchmarks.efforts import Command, Effort, Work
from benchmarks.floors import floor
from benchmarks.rows import Row

_LARGER: Final = 1.12  #: our bytes over theirs
_MEMORY: Final = 400  # MiB
_LIMITS: Final = {"qcow2": 0.20, "vmdk": 0.10, "tar.gz": 0.25, "all three": 0.08}
_NAMES: Final = {
    "qcow2": "compressed qcow2",
    "vmdk": "streamOptimized VMDK",
    "tar.gz": "GCE tar.gz",
    "all three": "the three together",
}


def measure(runs: int) -> None:
    """Write each format in turn with the peer's, then all three at once."""
    machine = results.machine()
    with ours.factory() as factory:
        disk = factory.state / "formats" / "disk.raw"
        folder = disk.parent
        folder.mkdir(exist_ok=True)
        factory.forget_images()
        Path(factory.built(factory.template())["data"]).replace(disk)
        factory.forget_images()
        try:
            shown = _compared(disk, folder, runs)
        finally:
            for path in folder.iterdir():
                path.unlink()
    rows = [row for name in _LIMITS for row in _rows(name, shown)]
    mine = [effort for name, effort in shown.items() if name.startswith("ours")]
    peak = max(effort.peak for effort in mine) / (1 << 20)
    rows.append(Row(work="memory of formats", ours=peak, unit="MiB", limit=_MEMORY))
    figures = {name: asdict(effort) for name, effort in shown.items()}
    results.keep(
        "formats",
        {"machine": machine, "runs": runs, "efforts": figures},
        text=tables.of_efforts(shown),
        rows=rows,
    )


def _compared(disk: Path, folder: Path, runs: int) -> dict[str, Effort]:
    with disk.open("rb", buffering=0) as file:  # so that it is cached
        while file.read(16 << 20):
            pass
    peers, shown = _peers(disk, folder), dict[str, Effort]()
    for name, peer in peers.items():
        form, _, compression = name.partition(" ")
        target = folder / f"ours.{form}"
        how = ["--compression", compression] if compression else []
        command = _convert(folder, disk, target, "--format", form, *how)
        mine = Work(name=f"ours, {name}", command=command, written=(target,))
        shown |= _measured([mine, peer], runs)
        shown |= _floor(name, disk, folder, shown[mine.name].size, runs)
    together = tuple(folder / f"together.{form}" for form in ("qcow2", "vmdk", "tar.gz"))
    command = [sys.executable, "-m", "benchmarks.together", disk, folder]
    shown |= _measured([Work(name="ours, all three", command=command, written=together)], runs)
    one_by_one = [shown[peers[form].name] for form in ("qcow2", "vmdk", "tar.gz")]
    shown["the others, one after another"] = Effort(
        seconds=sum(effort.seconds for effort in one_by_one),
        cpu=sum(effort.cpu for effort in one_by_one),
        size=sum(effort.size for effort in one_by_one),
        peak=max(effort.peak for effort in one_by_one),
    )
    return shown | _floor("all three", disk, folder, shown["ours, all three"].size, runs)


def _measured(works: Sequence[Work], runs: int) -> dict[str, Effort]:
    return dict(zip([work.name for work in works], efforts.in_turn(works, runs=runs), strict=True))


def _convert(folder: Path, *words: str | Path) -> Command:
    return [sys.executable, "-m", "imagefactory.cli.main", "--state", folder, "convert", *words]


def _floor(name: str, disk: Path, folder: Path, size: int, runs: int) -> dict[str, Effort]:
    written = folder / "floor"
    work = Work(name=f"floor, {name}", command=floor(written, size, [disk]), written=(written,))
    return _measured([work], runs)


def _peers(disk: Path, folder: Path) -> Mapping[str, Work]:
    archive, quoted = folder / "peer.tar.gz", shlex.quote(disk.name)
    packed = (
        f"tar -C {shlex.quote(str(disk.parent))} --format=oldgnu -Scf - {quoted} "
        f"| pigz > {shlex.quote(str(archive))}"
    )
    quick = ("-c", "-m", "16", "-W")
    return {
        "qcow2": _qemu("qcow2", disk, folder, *quick),
        "vmdk": _qemu("vmdk", disk, folder, "-o", "subformat=streamOptimized"),
        "tar.gz": Work(name="tar, pigz", command=["sh", "-c", packed], written=(archive,)),
        "qcow2 zstd": _qemu("qcow2", disk, folder, *quick, "-o", "compression_type=zstd"),
        "raw zstd": Work(
            name="zstd -T0",
            command=["zstd", "-q", "-f", "-T0", disk, "-o", folder / "peer.zst"],
            written=(folder / "peer.zst",),
        ),
    }


def _qemu(form: str, disk: Path, folder: Path, *words: str) -> Work:
    target = folder / f"peer.{form}"
    command: Command = ["qemu-img", "convert", "-f", "raw", "-O", form, *words, disk, target]
    return Work(name=f"qemu-img -O {' '.join([form, *words])}", command=command, written=(target,))


def _rows(name: str, shown: Mapping[str, Effort]) -> list[Row]:
    mine = shown[f"ours, {name}"]
    others = list(shown)
    whose = others[others.index(f"ours, {name}") + 1]
    peer, title = shown[whose], _NAMES[name]
    return [
        Row.of_time(
            title,
            mine,
            limit=_LIMITS[name],
            peer=peer,
            against=whose.partition(" -O")[0],
            floor=shown[f"floor, {name}"],
        ),
        Row(
            work=f"{title}, size",
            ours=mine.size / (1 << 20),
            unit="MiB",
            limit=_LARGER,
            against=whose.partition(" -O")[0],
            theirs=peer.size / (1 << 20),
        ),
    ]
