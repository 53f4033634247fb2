"""Inventories, read from what the tools in a tree print."""

from imagefactory.core.inventory import Entry
from imagefactory.engine.inventory import read_files, read_sums


def test_files_folders_and_links_are_told_apart() -> None:
    listing = "d\t755\t0:0\t4096\t/\0\0l\t777\t0:0\t7\t/bin\0usr/bin\0f\t4755\t0:42\t5\t/a\tb\n\0\0"
    assert read_files(listing, read_sums(f"\\{'0' * 64} *tree/a\tb\\n\n")) == {
        "/": Entry(type="d", mode="755", owner="0:0", size=0),
        "/bin": Entry(type="l", mode="777", owner="0:0", size=7, link="usr/bin"),
        "/a\tb\n": Entry(type="f", mode="4755", owner="0:42", size=5, sha256="0" * 64),
    }


def test_an_empty_tree_has_no_files() -> None:
    assert read_files("", {}) == {}
