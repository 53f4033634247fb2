"""Our compressed formats beside qemu-img's, in turn on the same disk."""

import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.engine.formats.chunks import write
from imagefactory.engine.formats.qcow2 import Qcow2
from imagefactory.engine.formats.vmdk import Vmdk

_RUNS: Final = 3
_PEERS: Final = {
    "qcow2": ["-O", "qcow2", "-c", "-m", "16", "-W"],
    "vmdk": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Medians of both, in seconds, and the sizes that they wrote."""

    format: str
    ours: float
    peer: float
    our_size: int
    peer_size: int
    peak: int  #: bytes of memory that this process has had at most


def compare(disk: Path, folder: Path) -> list[Comparison]:
    """Each format in turn: ours, qemu-img's, and again."""
    return [_compare(disk, folder, name) for name in _PEERS]


def _compare(disk: Path, folder: Path, name: str) -> Comparison:
    ours, peer = folder / f"ours.{name}", folder / f"peer.{name}"
    times: dict[Path, list[float]] = {ours: [], peer: []}
    for _run in range(_RUNS):
        times[ours].append(_timed(lambda: _write(disk, ours, name)))
        times[peer].append(_timed(lambda: _convert(disk, peer, name)))
    return Comparison(
        format=name,
        ours=statistics.median(times[ours]),
        peer=statistics.median(times[peer]),
        our_size=ours.stat().st_size,
        peer_size=peer.stat().st_size,
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def _write(disk: Path, target: Path, name: str) -> None:
    with target.open("wb") as file:
        kind = Qcow2 if name == "qcow2" else Vmdk
        write(disk, [kind(file, virtual_size=disk.stat().st_size)])


def _convert(disk: Path, target: Path, name: str) -> None:
    subprocess.run(["qemu-img", "convert", "-f", "raw", *_PEERS[name], disk, target], check=True)


def _timed(action: Callable[[], None]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began
