"""One pass over a disk gives the same disk in every format, byte for byte the same each time."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagefactory.engine.formats.chunks import CLUSTER, Framing, write
from imagefactory.engine.formats.qcow2 import Qcow2
from imagefactory.engine.formats.vmdk import Vmdk

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="qemu-img is not installed (qemu-utils)"
)

#: where a piece begins, how long it is, and whether deflating can make it smaller
PIECE = st.tuples(
    st.integers(0, 700 * CLUSTER),
    st.integers(1, 3 * CLUSTER),
    st.sampled_from(["noise", "text", "zeros"]),
)


def make_disk(path: Path, size: int, pieces: list[tuple[int, int, str]]) -> Path:
    with path.open("wb") as file:
        for start, length, kind in pieces:
            file.seek(start)
            content = {"noise": os.urandom, "text": b"the same words ".__mul__, "zeros": bytes}[
                kind
            ]
            file.write(content(length)[:length])
        file.truncate(size)
    return path


def frame(disk: Path, folder: Path, *, threads: int = 2) -> tuple[Path, Path]:
    size = disk.stat().st_size
    qcow2, vmdk = folder / f"{threads}.qcow2", folder / f"{threads}.vmdk"
    with qcow2.open("wb") as one, vmdk.open("wb") as two:
        framings: list[Framing] = [
            Qcow2(one, virtual_size=size),
            Vmdk(two, virtual_size=size),
        ]
        write(disk, framings, threads=threads)
    return qcow2, vmdk


def qemu_img(*words: str | Path) -> str:
    return subprocess.run(["qemu-img", *words], check=True, capture_output=True, text=True).stdout


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(PIECE, max_size=6), sectors=st.integers(1, 800 * CLUSTER // 512))
def test_every_format_holds_the_same_disk(
    tmp_path: Path, pieces: list[tuple[int, int, str]], sectors: int
) -> None:
    disk = make_disk(tmp_path / "disk.raw", sectors * 512, pieces)
    qcow2, vmdk = frame(disk, tmp_path)
    assert "No errors were found" in qemu_img("check", "-f", "qcow2", qcow2)
    for file, name in ((qcow2, "qcow2"), (vmdk, "vmdk")):
        assert "Images are identical" in qemu_img("compare", "-f", "raw", "-F", name, disk, file)


def test_many_l2_tables_and_grain_tables(tmp_path: Path) -> None:
    size = 5 << 30
    disk = make_disk(tmp_path / "disk.raw", size, [(size - CLUSTER - 7, CLUSTER + 7, "noise")])
    for file, name in zip(frame(disk, tmp_path), ("qcow2", "vmdk"), strict=True):
        assert "Images are identical" in qemu_img("compare", "-f", "raw", "-F", name, disk, file)
        assert file.stat().st_size < 2 << 20


def test_the_same_disk_is_the_same_file_whatever_the_threads(tmp_path: Path) -> None:
    pieces = [(n * 3 * CLUSTER, 2 * CLUSTER, "text" if n % 3 else "noise") for n in range(200)]
    disk = make_disk(tmp_path / "disk.raw", 700 * CLUSTER, pieces)
    one, four = (frame(disk, tmp_path, threads=threads) for threads in (1, 4))
    for left, right in zip(one, four, strict=True):
        assert digest(left) == digest(right)


def test_a_stop_leaves_no_thread_behind(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.raw", 700 * CLUSTER, [(0, 600 * CLUSTER, "text")])

    def advance(_position: int) -> None:
        raise KeyboardInterrupt

    with (tmp_path / "out").open("wb") as file, pytest.raises(KeyboardInterrupt):
        write(disk, [Vmdk(file, virtual_size=disk.stat().st_size)], advance=advance)
    assert len(os.listdir("/proc/self/task")) < 4  # noqa: PTH208 - threads are no paths


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
