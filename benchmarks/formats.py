"""Our compressed formats beside qemu-img's: two programs in turn on the same disk."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_RUNS: Final = 3
_PEERS: Final = {
    "qcow2": ["-O", "qcow2", "-c", "-m", "16", "-W"],
    "vmdk": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
}


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
    ours: Effort
    peer: Effort


def compare(disk: Path, folder: Path) -> list[Comparison]:
    """Each format in turn: ours, qemu-img's, and again; the disk is read once before, so that it is cached."""
    with disk.open("rb", buffering=0) as file:
        while file.read(16 << 20):
            pass
    return [_compare(disk, folder, name) for name in _PEERS]


def _compare(disk: Path, folder: Path, name: str) -> Comparison:
    ours, peer = folder / f"ours.{name}", folder / f"peer.{name}"
    program = [sys.executable, "-m", "imagefactory.cli.main", "--state", str(folder)]
    commands: dict[Path, list[str | Path]] = {
        ours: [*program, "convert", disk, ours, "--format", name],
        peer: ["qemu-img", "convert", "-f", "raw", *_PEERS[name], disk, peer],
    }
    runs: dict[Path, list[Effort]] = {ours: [], peer: []}
    for _run in range(_RUNS):
        for target, command in commands.items():
            target.unlink(missing_ok=True)
            runs[target].append(_run_once(command, target))
    return Comparison(format=name, ours=_usual(runs[ours]), peer=_usual(runs[peer]))


def _run_once(command: Sequence[str | Path], target: Path) -> Effort:
    told = target.with_suffix(".json")
    subprocess.run([sys.executable, "-m", "benchmarks.measure", told, *command], check=True)
    measured = json.loads(told.read_text())
    return Effort(**measured, size=target.stat().st_size)


def _usual(runs: Sequence[Effort]) -> Effort:
    return Effort(
        seconds=statistics.median(run.seconds for run in runs),
        size=runs[-1].size,
        peak=max(run.peak for run in runs),
    )
