"""A copy has the same bytes and the same holes, or is not there."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from imagefactory.engine.formats import sparse

SIZE = 64 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for position in (0, 5 << 20, 33 << 20):
            file.seek(position)
            file.write(os.urandom(1 << 20))
    return path


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def refuse(*_arguments: object) -> int:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


@pytest.mark.parametrize("ways", ["all", "no clone", "no clone and no copy_file_range"])
def test_a_copy_is_equal_and_keeps_its_holes(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: str
) -> None:
    if ways != "all":
        monkeypatch.setattr(fcntl, "ioctl", refuse)
    if ways == "no clone and no copy_file_range":
        monkeypatch.setattr(os, "copy_file_range", refuse)
    positions: list[int] = []
    sparse.copy(disk, tmp_path / "copy", advance=positions.append)
    assert (tmp_path / "copy").read_bytes() == disk.read_bytes()
    assert allocated(tmp_path / "copy") <= allocated(disk) + (1 << 20)
    assert positions == sorted(positions)
    assert positions[-1] == SIZE


def test_a_file_that_ends_in_data_or_is_empty_is_copied(tmp_path: Path) -> None:
    for content in (b"", b"x", b"x" * 5000):
        source, target = tmp_path / f"a{len(content)}", tmp_path / f"b{len(content)}"
        source.write_bytes(content)
        sparse.copy(source, target, advance=lambda _position: None)
        assert target.read_bytes() == content


def test_a_copy_that_is_stopped_is_not_there(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", refuse)

    def stop(position: int) -> None:
        if position:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sparse.copy(disk, tmp_path / "copy", advance=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


def test_what_is_there_is_not_overwritten(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(FileExistsError):
        sparse.copy(disk, tmp_path / "copy", advance=lambda _position: None)
    assert (tmp_path / "copy").read_text() == "precious"


def test_a_full_disk_is_not_mistaken_for_a_missing_ability(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(OSError, match="No space left"):
        sparse.copy(disk, tmp_path / "copy", advance=lambda _position: None)
    assert not (tmp_path / "copy").exists()
