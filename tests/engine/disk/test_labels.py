"""Paths are told to debugfs as it reads them, and one that it cannot read is refused."""

import pytest

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk.ext4 import Volume
from imagefactory.engine.disk.ids import VolumeIds
from imagefactory.engine.disk.labels import inside, quoted
from imagefactory.engine.disk.layout import Partition


def test_a_path_with_blanks_and_quotes_stays_one_word() -> None:
    assert quoted("/a b") == '"/a b"'
    assert quoted('/a"b') == '"/a""b"'


def test_a_line_break_is_refused_with_what_to_do() -> None:
    with pytest.raises(BuildError, match="line break") as caught:
        quoted("/a\nb")
    assert caught.value.hint is not None


def a_volume(mount: str, *apart: str) -> Volume:
    return Volume(
        mount=mount,
        apart=apart,
        partition=Partition(number=1, start=0, size=1),
        inodes=1,
        ids=VolumeIds.derive(key="abc", name="web", mount=mount),
    )


def test_each_file_is_labelled_where_it_lies() -> None:
    found = {
        "/": "r",
        "/lost+found": "l",
        "/var": "v",
        "/var/a": "a",
        "/variant": "t",
        "/var/log": "o",
    }
    found["/var/log/b"] = "b"
    root = inside(found, a_volume("/", "/var"))
    assert root == {"/": "r", "/lost+found": "l", "/var": "v", "/variant": "t"}
    var = inside(found, a_volume("/var", "/var/log"))
    assert var == {"/": "v", "/a": "a", "/log": "o", "/lost+found": "l"}
    assert inside({}, a_volume("/var")) == {}
