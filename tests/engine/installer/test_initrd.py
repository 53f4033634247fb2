"""Files put into an initrd are there for cpio(1), which unpacks as Linux does."""

import gzip
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from imagefactory.engine.installer.initrd import archive, with_files


@pytest.mark.skipif(shutil.which("cpio") is None, reason='the program "cpio" is not installed')
def test_the_archive_has_the_files_for_cpio(tmp_path: Path) -> None:
    data = archive({"preseed.cfg": b"d-i a/b string c\n", "empty": b""})
    subprocess.run(["cpio", "-i", "--quiet"], input=data, cwd=tmp_path, check=True)
    assert (tmp_path / "preseed.cfg").read_bytes() == b"d-i a/b string c\n"
    assert (tmp_path / "empty").read_bytes() == b""
    assert stat.S_IMODE((tmp_path / "preseed.cfg").stat().st_mode) == 0o600


@pytest.mark.parametrize("length", range(4))
def test_the_archive_begins_at_a_multiple_of_four_bytes(tmp_path: Path, length: int) -> None:
    initrd, target = tmp_path / "initrd", tmp_path / "with"
    before = gzip.compress(b"x", mtime=0) + bytes(length)
    initrd.write_bytes(before)
    with_files(initrd, {"ks.cfg": b"text\n"}, target)
    written = target.read_bytes()
    place = written.index(b"070701")
    assert place % 4 == 0
    assert written[:place] == before.ljust(place, b"\0")
    assert place - len(before) < 4


def test_the_same_files_give_the_same_bytes() -> None:
    assert archive({"a": b"1"}) == archive({"a": b"1"})
