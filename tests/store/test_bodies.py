"""A body that is there is whole, whoever was killed when."""

import hashlib
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.images import an_id
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, NotFound, SpaceError, StoreError
from imagefactory.core.images import BaseImage, Status
from imagefactory.store import sparse
from imagefactory.store.bodies import Bodies
from imagefactory.store.rows import Body

ID = an_id(1)
MIB = 1 << 20
MEMORY = Path("/dev/shm")


def a_disk(path: Path, *, size: int = 8 * MIB, data: bytes = b"data" * 1024) -> Path:
    """A sparse file with something at its start and in its middle."""
    with path.open("wb") as file:
        file.truncate(size)
        file.write(data)
        file.seek(size // 2)
        file.write(data)
    path.chmod(0o600)
    return path


def linked(path: Path) -> Path:
    """The same file, which can no longer be moved, for it has a second name."""
    path.with_name("another name").hardlink_to(path)
    return path


def digest(path: Path) -> Body:
    content = path.read_bytes()
    return Body(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def names(bodies: Bodies) -> list[str]:
    return sorted(path.name for path in bodies.folder.iterdir())


def test_a_disk_is_moved_within_a_file_system(bodies: Bodies, tmp_path: Path) -> None:
    disk = a_disk(tmp_path / "disk")
    expected, inode = digest(disk), disk.stat().st_ino
    assert bodies.seal(ID, disk) == expected
    sealed = bodies.path(ID).stat()
    assert sealed.st_ino == inode
    assert stat.S_IMODE(sealed.st_mode) == 0o644
    assert not disk.exists()
    assert names(bodies) == [f"{ID}.body"]


def test_a_disk_is_copied_with_its_holes(bodies: Bodies, tmp_path: Path) -> None:
    disk = linked(a_disk(tmp_path / "disk", size=256 * MIB))
    expected, blocks = digest(disk), disk.stat().st_blocks
    assert bodies.seal(ID, disk) == expected
    sealed = bodies.path(ID).stat()
    assert digest(bodies.path(ID)) == expected
    assert sealed.st_blocks <= blocks + 64
    assert stat.S_IMODE(sealed.st_mode) == 0o644
    assert not disk.exists()
    assert names(bodies) == [f"{ID}.body"]


@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no second file system to copy from")
def test_a_disk_comes_over_from_another_file_system(bodies: Bodies) -> None:
    with TemporaryDirectory(dir=MEMORY) as folder:
        disk = a_disk(Path(folder) / "disk")
        expected = digest(disk)
        assert bodies.seal(ID, disk) == expected
        assert not disk.exists()
    assert digest(bodies.path(ID)) == expected
    assert names(bodies) == [f"{ID}.body"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own files as somebody else")
def test_a_disk_of_a_sandbox_becomes_ours(bodies: Bodies, tmp_path: Path) -> None:
    disk = a_disk(tmp_path / "disk")
    os.chown(disk, 100_000, 100_000)
    bodies.seal(ID, disk)
    sealed = bodies.path(ID).stat()
    assert (sealed.st_uid, sealed.st_gid) == (os.geteuid(), os.getegid())


def test_sealing_again_after_a_crash_is_the_same(bodies: Bodies, tmp_path: Path) -> None:
    disk = a_disk(tmp_path / "disk")
    body = bodies.seal(ID, disk)
    assert bodies.seal(ID, disk) == body
    assert bodies.measure(ID) == body
    newer = a_disk(disk, data=b"newer")
    assert bodies.seal(ID, newer) != body


def test_sealing_nothing_is_refused(bodies: Bodies, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"No image found with id: {ID}"):
        bodies.seal(ID, tmp_path / "disk")
    (tmp_path / "link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "fifo")
    for odd in ("", "link", "fifo"):
        with pytest.raises(StoreError, match="is no ordinary file"):
            bodies.seal(ID, tmp_path / odd)
    assert names(bodies) == []


@pytest.mark.parametrize("copied", [False, True])
def test_a_kill_in_the_middle_leaves_no_body_and_loses_no_disk(
    bodies: Bodies, tmp_path: Path, copied: bool
) -> None:
    disk = a_disk(tmp_path / "disk")
    if copied:
        linked(disk)
    expected = digest(disk)
    script = """
        import sys, time
        from pathlib import Path
        from imagefactory.store import sparse
        from imagefactory.store.bodies import Bodies

        def stop(source, target=None):
            if target is not None:
                target.write(source.read(5000))
                target.flush()
            print("in the middle", flush=True)
            time.sleep(60)

        sparse.copy = sparse.sha256 = stop
        Bodies(folder=Path(sys.argv[1])).seal(sys.argv[2], Path(sys.argv[3]))
    """
    argv = [sys.executable, "-c", textwrap.dedent(script), str(bodies.folder), ID, str(disk)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        left = names(bodies)
        bodies.sweep()
        assert names(bodies) == left  # what is being written is not swept away
        process.kill()
    assert left == ([f".{ID}.body.partial"] if copied else [])
    with pytest.raises(NotFound):
        bodies.open_body(ID)
    if copied:
        bodies.sweep()
        assert names(bodies) == []
    assert bodies.seal(ID, disk) == expected
    assert names(bodies) == [f"{ID}.body"]


def test_a_resumed_copy_reuses_what_a_killed_one_left(bodies: Bodies, tmp_path: Path) -> None:
    disk = linked(a_disk(tmp_path / "disk"))
    expected = digest(disk)
    (bodies.folder / f".{ID}.body.partial").write_bytes(b"half" * 9_000_000)
    assert bodies.seal(ID, disk) == expected
    assert digest(bodies.path(ID)) == expected
    assert names(bodies) == [f"{ID}.body"]


def test_a_full_disk_is_said_and_leaves_all_as_it_was(
    bodies: Bodies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bodies.seal(ID, a_disk(tmp_path / "first"))
    disk = linked(a_disk(tmp_path / "disk", data=b"other"))

    def full(_source: object, _target: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sparse, "copy", full)
    with pytest.raises(SpaceError, match=f'has no room for the image "{ID}"'):
        bodies.seal(ID, disk)
    assert disk.exists()
    assert bodies.measure(ID) == before
    assert names(bodies) == [f"{ID}.body"]


def test_an_id_that_is_no_uuid_never_becomes_a_path(bodies: Bodies, tmp_path: Path) -> None:
    disk = a_disk(tmp_path / "disk")
    for id in ["", "..", "../../etc/passwd", "A" * 36, ID.replace("-", ""), f"{{{ID}}}", f"{ID}\n"]:
        for attempt in (
            lambda id=id: bodies.path(id),
            lambda id=id: bodies.open_body(id),
            lambda id=id: bodies.seal(id, disk),
            lambda id=id: bodies.remove(id),
            lambda id=id: bodies.describe(BaseImage(id=id)),
        ):
            with pytest.raises(NotFound):
                attempt()
    assert names(bodies) == []


def test_a_description_is_replaced_whole(bodies: Bodies) -> None:
    image = BaseImage(id=ID, template="<template><os><rootpw>hush</rootpw></os></template>")
    bodies.describe(image)
    bodies.describe(image.to(Status.BUILDING))
    path = bodies.folder / f"{ID}.meta"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    content = json.loads(path.read_text())
    assert content["status"] == "BUILDING"
    assert content["data"] == str(bodies.path(ID))
    assert "hush" not in content["template"]
    assert names(bodies) == [f"{ID}.meta"]


def test_removing_is_done_once_or_twice(bodies: Bodies, tmp_path: Path) -> None:
    bodies.seal(ID, a_disk(tmp_path / "disk"))
    bodies.describe(BaseImage(id=ID))
    with bodies.open_body(ID) as body:
        bodies.remove(ID)
        bodies.remove(ID)
        assert body.read(4) == b"data"  # whoever reads it may finish
    assert names(bodies) == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3 * MIB)), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_any_sequence_of_data_and_holes_is_copied(
    tmp_path: Path, parts: list[tuple[bool, int]]
) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        for is_data, length in parts:
            if is_data:
                file.write(b"\x5a" * length)
            else:
                file.seek(length, os.SEEK_CUR)
        file.truncate(file.tell())
    with source.open("rb") as reader, (tmp_path / "target").open("wb") as writer:
        copied = sparse.copy(reader, writer)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    with source.open("rb") as reader:
        assert copied == sparse.sha256(reader) == digest(source).sha256


def test_a_mongo_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Bodies.open(Config(state=tmp_path, image_manager="mongo"))
    assert str(caught.value) == 'The image manager "mongo" is not supported'
    assert not list(tmp_path.iterdir())


def test_a_storage_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=f'The storage folder "{file}" cannot be used: '):
        Bodies.open(Config(image_manager_args={"storage_path": str(file)}))
