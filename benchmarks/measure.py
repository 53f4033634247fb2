"""Runs one program and writes its time and its memory as JSON: `python -m benchmarks.measure FILE PROGRAM…`.

A process of its own, because Linux counts the memory of who starts a program as the program's until
it is executed, and a process that has built images is large.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """The exit status of the program."""
    told, *command = sys.argv[1:]
    began = time.monotonic()
    process = subprocess.Popen(command)
    _pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    Path(told).write_text(json.dumps({"seconds": seconds, "peak": usage.ru_maxrss * 1024}))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
