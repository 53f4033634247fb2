"""Runs one program and writes its time and its memory as JSON: `python -m benchmarks.measure FILE PROGRAM…`.

A process of its own, because Linux counts the memory of who starts a program as the program's until
it is executed, and a process that has built images is large.
"""

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
_PERIOD: Final = 0.2  # seconds between looks; one takes some 2 ms


def main() -> int:
    """The exit status of the program."""
    told, *command = sys.argv[1:]
    # Children whose parents have ended stay in this tree, and are counted.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ended, peaks = threading.Event(), [0]
    began = time.monotonic()
    process = subprocess.Popen(command)
    watcher = threading.Thread(target=_watch, args=[ended, peaks])
    watcher.start()
    _pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watcher.join()
    peak = max(*peaks, usage.ru_maxrss * 1024)
    cpu = usage.ru_utime + usage.ru_stime
    Path(told).write_text(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak}))
    return process.returncode


def _watch(ended: threading.Event, peaks: list[int]) -> None:
    while not ended.wait(_PERIOD):
        peaks.append(sum(map(_memory, _below(os.getpid()))))


def _below(root: int) -> list[int]:
    """All processes that descend from this one."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and (stat := _read(f"/proc/{entry.name}/stat")):
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], children.get(root, [])
    while waiting:
        found += waiting
        waiting = [child for pid in waiting for child in children.get(pid, [])]
    return found


def _memory(pid: int) -> int:
    """Bytes of memory that it has, of what it shares only its part."""
    rollup = _read(f"/proc/{pid}/smaps_rollup")
    return int(rollup.partition("\nPss:")[2].split()[0]) * 1024 if rollup else 0


def _read(path: str) -> str:
    """The file of a process, empty when that has ended meanwhile."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


if __name__ == "__main__":
    sys.exit(main())
