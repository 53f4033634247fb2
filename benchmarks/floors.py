"""The least that a job can take here, which is to decode what it reads and to write what it writes.

`python -m benchmarks.floors WRITTEN SIZE [FILE…]`: packages are decoded, of a disk the used parts are read.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.efforts import Command

_PIECE: Final = 1 << 20


def floor(written: Path, size: int, read: list[Path]) -> Command:
    """The program that reads these files and writes so many bytes."""
    return [sys.executable, "-m", "benchmarks.floors", written, str(size), *read]


def main() -> int:
    """Read, and write with what is left on the disk at the end."""
    written, size, *names = sys.argv[1:]
    files = [Path(name) for name in names]
    packages = list(filter(_is_package, files))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_read, packages))
    for path in files:
        if path not in packages:
            for _piece in _used(path):
                pass
    with Path(written).open("wb", buffering=0) as file:
        file.writelines(
            bytes(min(_PIECE, int(size) - start)) for start in range(0, int(size), _PIECE)
        )
    return 0


def _is_package(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"!<arch>\n"


def _read(package: Path) -> None:
    subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.DEVNULL, check=True)


def _used(disk: Path) -> Iterator[bytes]:
    """What is no hole."""
    with disk.open("rb", buffering=0) as file:
        end, place = file.seek(0, os.SEEK_END), 0
        while place < end:
            try:
                start = os.lseek(file.fileno(), place, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # only a hole is left
                    return
                raise
            place = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            for at in range(start, place, _PIECE):
                yield os.pread(file.fileno(), min(_PIECE, place - at), at)


if __name__ == "__main__":
    sys.exit(main())
