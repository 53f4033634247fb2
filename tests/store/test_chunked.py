"""Bodies that share their chunks read back byte for byte, and lose none however they end."""

import hashlib
import io
import os
import re
import subprocess
import sys
import textwrap
import threading
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.build import a_build
from fakes.images import an_id
from imagefactory.core import spans
from imagefactory.core.config import Config
from imagefactory.core.deflate import CLUSTER, deflate
from imagefactory.core.errors import NotFound, StoreError
from imagefactory.core.spans import Span
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.kinds import FormatName
from imagefactory.store import chunked
from imagefactory.store.bodies import Bodies

ONE, TWO, THREE = an_id(1), an_id(2), an_id(3)
MIB = 1 << 20


@pytest.fixture
def bodies(tmp_path: Path) -> Bodies:
    return Bodies.open(Config(state=tmp_path / "state", plain_bodies=False))


def a_disk(path: Path, *, marks: bytes = b"ab", noise: int = 20) -> Path:
    """16 MiB: for each mark a MiB of text of its own, then noise, then a hole."""
    with path.open("wb") as file:
        for mark in marks:
            file.write(text(mark))
        file.write(hashlib.shake_256(b"noise").digest(noise * CLUSTER))
        file.truncate(16 * MIB)
    return path


@cache
def text(mark: int) -> bytes:
    lines = (b"%d %c of the text\n" % (number, mark) for number in range(50_000))
    return b"".join(lines)[:MIB].ljust(MIB, b".")


def read(bodies: Bodies, id: str) -> bytes:
    with bodies.open_body(id) as body:
        return body.read()


def stored(bodies: Bodies) -> int:
    return sum(path.stat().st_size for path in bodies.folder.rglob("*.*") if path.is_file())


#: where a piece begins, how long it is, and what it holds
PIECE = st.tuples(
    st.integers(0, 20 * CLUSTER),
    st.integers(1, 3 * CLUSTER),
    st.sampled_from([os.urandom, b"words ".__mul__, bytes]),
)
SPAN = st.builds(
    Span,
    offset=st.integers(0, 24 * CLUSTER),
    length=st.integers(0, 2 * CLUSTER),
    compressed=st.booleans(),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECE), size=st.integers(0, 22 * CLUSTER), hints=st.lists(SPAN))
def test_any_body_reads_back_whatever_the_hints(
    bodies: Bodies,
    tmp_path: Path,
    pieces: list[tuple[int, int, object]],
    size: int,
    hints: list[Span],
) -> None:
    source = tmp_path / "disk"
    with source.open("wb") as file:
        for start, length, content in pieces:
            file.seek(start)
            file.write(content(length)[:length])  # type: ignore[operator]
        file.truncate(size)
    source.with_suffix(spans.SUFFIX).write_bytes(spans.dumps(hints))
    content = source.read_bytes()
    sealed = bodies.seal(ONE, source)
    assert not source.exists()
    assert (sealed.size, sealed.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert read(bodies, ONE) == content
    assert bodies.measure(ONE) == sealed
    plain = tmp_path / "plain"
    bodies.write_plain(ONE, plain)
    assert plain.read_bytes() == content
    plain.unlink()
    with bodies.open_body(ONE) as body:
        body.seek(size // 3)
        assert body.read(100) == content[size // 3 : size // 3 + 100]
        assert body.seek(-min(7, size), io.SEEK_END) == max(0, size - 7)
        assert body.read() == content[max(0, size - 7) :]


def test_all_formats_of_a_disk_share_its_chunks(bodies: Bodies, tmp_path: Path) -> None:
    disk = a_disk(tmp_path / "base")
    sizes = {}
    names: tuple[FormatName, ...] = ("raw", "qcow2", "vmdk", "tar.gz", "vhd", "vhd-dynamic")
    for number, name in enumerate(names):
        build = a_build(tmp_path / name, source=disk)
        Convert(format=name).run(build)
        content = build.disk.read_bytes()
        before = stored(bodies)
        bodies.seal(an_id(number), build.disk)
        assert read(bodies, an_id(number)) == content, name
        sizes[name] = stored(bodies) - before
    assert all(sizes[name] < sizes["raw"] // 20 for name in sizes if name != "raw"), sizes


def test_what_only_a_deleted_image_had_goes_with_it(bodies: Bodies, tmp_path: Path) -> None:
    bodies.seal(ONE, a_disk(tmp_path / "one", marks=b"ab"))
    alone = stored(bodies)
    bodies.seal(TWO, a_disk(tmp_path / "two", marks=b"ac"))
    content = read(bodies, ONE)
    bodies.remove(TWO)
    assert abs(stored(bodies) - alone) < CLUSTER
    assert bodies.garbage() == 0
    bodies.seal(THREE, a_disk(tmp_path / "three", marks=b"ad"))
    other = read(bodies, THREE)
    bodies.remove(ONE)
    assert read(bodies, THREE) == other
    assert content[: 1 << 20] == other[: 1 << 20]
    with pytest.raises(NotFound):
        bodies.open_body(ONE)
    bodies.remove(THREE)
    assert not list((bodies.folder / "chunks").glob("*.pack"))


def test_a_body_that_is_being_read_is_read_to_its_end(bodies: Bodies, tmp_path: Path) -> None:
    bodies.seal(ONE, a_disk(tmp_path / "one"))
    content = read(bodies, ONE)
    with bodies.open_body(ONE) as body:
        start = body.read(100)
        bodies.remove(ONE)
        assert start + body.read() == content


def test_collecting_while_bodies_are_sealed_and_read_loses_nothing(
    bodies: Bodies, tmp_path: Path
) -> None:
    ids = [an_id(number) for number in range(6)]
    disks = [a_disk(tmp_path / id, marks=bytes([97, 98 + n])) for n, id in enumerate(ids)]
    contents = [disk.read_bytes() for disk in disks]
    done = threading.Event()

    def collect() -> None:
        while not done.is_set():
            bodies.collect()

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for id, disk, content in zip(ids, disks, contents, strict=True):
            bodies.seal(id, disk)
            assert read(bodies, id) == content
            if id != ids[0]:
                bodies.remove(ids[0])
                bodies.seal(ids[0], a_disk(tmp_path / "again", marks=b"ab"))
    finally:
        done.set()
        collector.join()
    for id, content in zip(ids, contents, strict=True):
        assert read(bodies, id) == content


def test_a_cluster_that_deflates_otherwise_than_it_was_sealed_is_damaged(
    bodies: Bodies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = a_build(tmp_path / "qcow2", source=a_disk(tmp_path / "base"))
    Convert(format="qcow2").run(build)
    bodies.seal(ONE, build.disk)
    monkeypatch.setattr(chunked, "deflate", lambda plain: deflate(plain)[:-1] + b"!")
    with pytest.raises(StoreError, match=f'"{ONE}" is damaged: its bytes'):
        read(bodies, ONE)


def test_a_damaged_chunk_names_the_image_and_the_range(bodies: Bodies, tmp_path: Path) -> None:
    disk = a_disk(tmp_path / "one", marks=b"", noise=4)
    content = disk.read_bytes()
    bodies.seal(ONE, disk)
    (pack,) = (bodies.folder / "chunks").glob("*.pack")
    with pack.open("r+b") as file:
        file.seek(CLUSTER + 500)
        file.write(b"?!")
    message = f'"{ONE}" is damaged: its bytes (\\d+) to (\\d+) cannot be read'
    with pytest.raises(StoreError, match=message) as caught:
        bodies.measure(ONE)
    first, last = map(int, re.findall(r"(\d+) to (\d+)", str(caught.value))[0])
    assert 0 < last - first < 2 * CLUSTER
    with bodies.open_body(ONE) as body, pytest.raises(StoreError, match=message):
        body.read()
    with bodies.open_body(ONE) as body:
        assert body.read(first) == content[:first]
        body.seek(last + 1)
        assert body.read() == content[last + 1 :]


def test_a_system_with_a_package_more_shares_nine_tenths(bodies: Bodies, tmp_path: Path) -> None:
    noise, more = os.urandom(8 << 20), os.urandom(3 * 4096)
    sizes = []
    for number, content in enumerate((noise, noise[: 1 << 20] + more + noise[1 << 20 :])):
        disk = tmp_path / "disk"
        for name in ("raw", "qcow2"):
            disk.write_bytes(content)
            build = a_build(tmp_path / f"{name}-{number}", source=disk)
            Convert(format="raw" if name == "raw" else "qcow2").run(build)
            before = stored(bodies)
            written = build.disk.read_bytes()
            id = an_id(2 * number + (name == "qcow2"))
            bodies.seal(id, build.disk)
            assert read(bodies, id) == written
            sizes.append(stored(bodies) - before)
    assert sizes[0] > len(noise)
    assert all(size < len(noise) // 10 for size in sizes[1:]), sizes


@pytest.mark.parametrize("suffix", ["pack", "recipe"])
def test_a_damaged_index_or_recipe_is_said_to_be_damaged(
    bodies: Bodies, tmp_path: Path, suffix: str
) -> None:
    bodies.seal(ONE, a_disk(tmp_path / "one"))
    (path,) = bodies.folder.rglob(f"*.{suffix}")
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"is damaged"):
        bodies.open_body(ONE)
    with pytest.raises(StoreError, match=r"is damaged"):
        bodies.collect()
    bodies.remove(ONE)
    assert bodies.size(ONE) is None


CHILD = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from imagefactory.store import files
    from imagefactory.store.bodies import Bodies

    left = int(sys.argv[3])
    def dying(real):
        def call(*arguments, **options):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), 9)
            return real(*arguments, **options)
        return call
    os.fsync = dying(os.fsync)
    Path.replace = dying(Path.replace)
    Path.unlink = dying(Path.unlink)
    bodies = Bodies(folder=Path(sys.argv[1]), plain=False)
    bodies.remove(sys.argv[5])
    bodies.seal(sys.argv[4], Path(sys.argv[2]))
    """
)


@pytest.mark.integration
def test_killed_between_any_two_steps_loses_and_leaks_nothing(tmp_path: Path) -> None:
    config = Config(state=tmp_path / "state", plain_bodies=False)
    for steps in range(100):
        bodies = Bodies.open(config)
        kept = a_disk(tmp_path / "kept", marks=b"xy", noise=0)
        content = kept.read_bytes()
        bodies.seal(ONE, kept)
        bodies.seal(THREE, a_disk(tmp_path / "gone", marks=b"xz", noise=0))
        source = a_disk(tmp_path / "new", marks=b"xw", noise=0)
        wanted = source.read_bytes()
        words = map(str, (bodies.folder, source, steps, TWO, THREE))
        ended = subprocess.run([sys.executable, "-c", CHILD, *words], check=False)
        bodies = Bodies.open(config)
        bodies.sweep()
        assert read(bodies, ONE) == content
        bodies.seal(TWO, source)  # what the next life of the build does
        assert read(bodies, TWO) == wanted
        bodies.remove(THREE)
        bodies.collect()
        assert bodies.garbage() == 0
        chunks = sum(path.stat().st_size for path in bodies.folder.rglob("*.pack"))
        assert chunks < len(content) // 4, steps
        assert not list(bodies.folder.rglob("*.partial"))
        bodies.remove(ONE)
        bodies.remove(TWO)
        assert not list(bodies.folder.rglob("*.pack"))
        if ended.returncode == 0:
            assert steps > 5
            return
    pytest.fail("The steps do not come to an end")


def test_both_kinds_of_bodies_are_read_whichever_is_written(bodies: Bodies, tmp_path: Path) -> None:
    plain = Bodies.open(Config(state=tmp_path / "state"))
    disk = a_disk(tmp_path / "one")
    content = disk.read_bytes()
    bodies.seal(ONE, disk)
    plain.seal(TWO, a_disk(tmp_path / "two"))
    for id in (ONE, TWO):
        assert read(plain, id) == read(bodies, id) == content
        assert plain.size(id) == len(content)
    assert plain.size(THREE) is None
