"""One pass over a disk gives the same disk in every format, byte for byte the same each time."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagefactory.core.deflate import CLUSTER
from imagefactory.engine.formats import zstd
from imagefactory.engine.formats.chunks import Framing, used_clusters, write
from imagefactory.engine.formats.qcow2 import Qcow2
from imagefactory.engine.formats.targz import TarGz
from imagefactory.engine.formats.vhd import DynamicVhd
from imagefactory.engine.formats.vmdk import Vmdk
from imagefactory.engine.formats.zstd import ZstdFrames

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


Framed = dict[str, Path]


def frame(disk: Path, folder: Path, *, threads: int = 2) -> Framed:
    """The disk in all formats, in one pass."""
    size, clusters = disk.stat().st_size, used_clusters(disk)
    with disk.open("rb") as file:
        head = file.read(CLUSTER)
    makers: dict[str, Callable[[BinaryIO], Framing]] = {
        "qcow2": lambda file: Qcow2(file, virtual_size=size),
        "zstd.qcow2": lambda file: Qcow2(file, virtual_size=size, compression="zstd"),
        "vmdk": lambda file: Vmdk(file, virtual_size=size),
        "vpc": lambda file: DynamicVhd(file, virtual_size=size, head=head),
        "tar.gz": lambda file: TarGz(file, virtual_size=size, clusters=clusters),
        "raw.zst": lambda file: ZstdFrames(file, virtual_size=size),
    }
    framed = {name: folder / f"{threads}.{name}" for name in makers}
    with ExitStack() as files:
        opened = {name: files.enter_context(path.open("wb")) for name, path in framed.items()}
        write(disk, [make(opened[name]) for name, make in makers.items()], threads=threads)
    return framed


def assert_same_to_qemu(disk: Path, framed: Framed) -> None:
    """What QEMU reads out of the files is the disk."""
    for name in ("qcow2", "zstd.qcow2", "vmdk", "vpc"):
        form, file = name.rpartition(".")[2], framed[name]
        assert "Images are identical" in qemu_img("compare", "-f", "raw", "-F", form, disk, file)
        if form == "qcow2":
            assert "No errors were found" in qemu_img("check", "-f", "qcow2", file)


def assert_same_unpacked(disk: Path, framed: Framed) -> None:
    """What tar and zstd unpack is the disk."""
    folder = framed["tar.gz"].with_name("out")
    run("gzip", "-t", framed["tar.gz"])
    run("tar", "-xzf", framed["tar.gz"], f"--one-top-level={folder}")
    run("cmp", folder / "disk.raw", disk)
    with tarfile.open(framed["tar.gz"]) as archive:
        assert archive.getmember("disk.raw").size == disk.stat().st_size
    run("zstd", "-dqf", framed["raw.zst"], "-o", folder / "disk.plain")
    run("cmp", folder / "disk.plain", disk)


def run(*words: str | Path) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def qemu_img(*words: str | Path) -> str:
    return run("qemu-img", *words)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECE, max_size=6), sectors=st.integers(1, 800 * CLUSTER // 512))
def test_every_format_holds_the_same_disk(
    tmp_path: Path, pieces: list[tuple[int, int, str]], sectors: int
) -> None:
    disk = make_disk(tmp_path / "disk.raw", sectors * 512, pieces)
    framed = frame(disk, tmp_path)
    assert_same_to_qemu(disk, framed)
    assert_same_unpacked(disk, framed)


def test_many_l2_tables_and_grain_tables(tmp_path: Path) -> None:
    size = 5 << 30
    disk = make_disk(tmp_path / "disk.raw", size, [(size - CLUSTER - 7, CLUSTER + 7, "noise")])
    framed = frame(disk, tmp_path)
    assert_same_to_qemu(disk, framed)
    assert all(path.stat().st_blocks * 512 < 3 << 20 for path in framed.values())


def test_the_same_disk_is_the_same_file_whatever_the_threads(tmp_path: Path) -> None:
    pieces = [(n * 3 * CLUSTER, 2 * CLUSTER, "text" if n % 3 else "noise") for n in range(200)]
    disk = make_disk(tmp_path / "disk.raw", 700 * CLUSTER, pieces)
    one, four = (frame(disk, tmp_path, threads=threads) for threads in (1, 4))
    for name, file in one.items():
        assert digest(file) == digest(four[name]), name


def test_the_same_disk_is_the_same_file_wherever_there_are_holes(tmp_path: Path) -> None:
    pieces = [(n * 3 * CLUSTER, 2 * CLUSTER, "text") for n in range(50)]
    sparse = make_disk(tmp_path / "sparse.raw", 700 * CLUSTER, pieces)
    full = tmp_path / "full.raw"
    full.write_bytes(sparse.read_bytes())
    one, other = frame(sparse, tmp_path, threads=1), frame(full, tmp_path, threads=2)
    for name, file in one.items():
        assert digest(file) == digest(other[name]), name


def test_a_map_longer_than_a_header_and_a_disk_beyond_octal_digits(tmp_path: Path) -> None:
    pieces = [(n * 100 * CLUSTER, 5, "text") for n in range(60)]
    disk = make_disk(tmp_path / "disk.raw", (9 << 30) + 512, pieces)
    path = tmp_path / "disk.tar.gz"
    with path.open("wb") as file:
        framing = TarGz(file, virtual_size=disk.stat().st_size, clusters=used_clusters(disk))
        write(disk, [framing])
    listed = run("tar", "-tvzf", path)
    assert f"{(9 << 30) + 512}" in listed
    run("tar", "-xzf", path, "-C", tmp_path, "--one-top-level=out")
    unpacked = tmp_path / "out" / "disk.raw"
    assert "identical" in qemu_img("compare", "-f", "raw", "-F", "raw", disk, unpacked)
    assert unpacked.stat().st_blocks * 512 < 60 * 2 * CLUSTER


def test_frames_can_be_read_from_the_table_alone(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.raw", 40 << 20, [(20 << 20, CLUSTER, "noise")])
    packed = frame(disk, tmp_path)["raw.zst"].read_bytes()
    frames, _descriptor, magic = zstd.END.unpack(packed[-zstd.END.size :])
    assert magic == zstd.SEEKABLE
    table = packed[-zstd.END.size - frames * zstd.ENTRY.size : -zstd.END.size]
    content, position = b"", 0
    for compressed, plain in zstd.ENTRY.iter_unpack(table):
        piece = zstandard.ZstdDecompressor().decompress(packed[position : position + compressed])
        assert len(piece) == plain
        content, position = content + piece, position + compressed
    assert content == disk.read_bytes()


def test_a_stop_leaves_no_thread_behind(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.raw", 700 * CLUSTER, [(0, 600 * CLUSTER, "text")])

    def advance(_position: int) -> None:
        raise KeyboardInterrupt

    with (tmp_path / "out").open("wb") as file, pytest.raises(KeyboardInterrupt):
        write(disk, [Vmdk(file, virtual_size=disk.stat().st_size)], advance=advance)
    assert len(os.listdir("/proc/self/task")) < 4  # noqa: PTH208 - threads are no paths


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
