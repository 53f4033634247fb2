"""Our compressed formats beside those of qemu-img, pigz and zstd: programs in turn on the same disk."""

import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_RUNS: Final = 3
_TOGETHER: Final = "all three"

Command = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What one program needs: medians of all runs, the most memory of any."""

    seconds: float
    size: int  #: bytes that it wrote
    peak: int  #: bytes of memory


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both programs on one format."""

    format: str
    against: str  #: the other program
    ours: Effort
    peer: Effort


def compare(disk: Path, folder: Path) -> list[Comparison]:
    """Each format in turn: ours, the other's, and again; the disk is read once before, so that it is cached.

    Last ours all in one pass, beside the others' one after another.
    """
    with disk.open("rb", buffering=0) as file:
        while file.read(16 << 20):
            pass
    program = [sys.executable, "-m", "imagefactory.cli.main", "--state", str(folder), "convert"]
    peers = _peers(disk, folder)
    compared = []
    for name, (against, peer) in peers.items():
        form, _, compression = name.partition(" ")
        target = folder / f"ours.{form}"
        how = ["--compression", compression] if compression else []
        ours: Command = [*program, disk, target, "--format", form, *how]
        efforts = _in_turn({target: ours, folder / f"peer.{form}": peer})
        compared.append(Comparison(format=name, against=against, ours=efforts[0], peer=efforts[1]))
    return [*compared, _together(disk, folder, compared[:3])]


def _peers(disk: Path, folder: Path) -> Mapping[str, tuple[str, Command]]:
    convert: Command = ["qemu-img", "convert", "-f", "raw"]
    quoted, archive = shlex.quote(disk.name), shlex.quote(str(folder / "peer.tar.gz"))
    packed = (
        f"tar -C {shlex.quote(str(disk.parent))} --format=oldgnu -Scf - {quoted} | pigz > {archive}"
    )
    zstd: Command = ["zstd", "-q", "-f", "-T0", disk, "-o", folder / "peer.raw"]
    options = ["-o", "compression_type=zstd"]
    return {
        "qcow2": (
            "qemu-img",
            [*convert, "-O", "qcow2", "-c", "-m", "16", "-W", disk, folder / "peer.qcow2"],
        ),
        "vmdk": (
            "qemu-img",
            [*convert, "-O", "vmdk", "-o", "subformat=streamOptimized", disk, folder / "peer.vmdk"],
        ),
        "tar.gz": ("tar, pigz", ["sh", "-c", packed]),
        "qcow2 zstd": (
            "qemu-img",
            [
                *convert, "-O", "qcow2", "-c", "-m", "16", "-W", *options, disk,
                folder / "peer.qcow2",
            ],
        ),
        "raw zstd": ("zstd -T0", zstd),
    }  # fmt: skip


def _together(disk: Path, folder: Path, peers: Sequence[Comparison]) -> Comparison:
    targets = [folder / f"together.{row.format}" for row in peers]
    command: Command = [sys.executable, "-m", "benchmarks.together", disk, folder]
    (ours,) = _in_turn({folder / "together": command}, written=targets)
    one_by_one = Effort(
        seconds=sum(row.peer.seconds for row in peers),
        size=sum(row.peer.size for row in peers),
        peak=max(row.peer.peak for row in peers),
    )
    return Comparison(format=_TOGETHER, against="the others", ours=ours, peer=one_by_one)


def _in_turn(
    commands: Mapping[Path, Command], *, written: Sequence[Path] | None = None
) -> list[Effort]:
    """Each program's effort; it writes to its key, or to all that are `written`."""
    runs: dict[Path, list[Effort]] = {target: [] for target in commands}
    for _run in range(_RUNS):
        for target, command in commands.items():
            files = written or [target]
            for file in files:
                file.unlink(missing_ok=True)
            runs[target].append(_run_once(command, target, files))
    return [_usual(of_one) for of_one in runs.values()]


def _run_once(command: Command, target: Path, files: Sequence[Path]) -> Effort:
    told = target.with_suffix(".json")
    subprocess.run([sys.executable, "-m", "benchmarks.measure", told, *command], check=True)
    measured = json.loads(told.read_text())
    return Effort(**measured, size=sum(file.stat().st_size for file in files))


def _usual(runs: Sequence[Effort]) -> Effort:
    return Effort(
        seconds=statistics.median(run.seconds for run in runs),
        size=runs[-1].size,
        peak=max(run.peak for run in runs),
    )
