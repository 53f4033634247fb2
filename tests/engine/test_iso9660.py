"""Images that xorriso makes are read as it wrote them, and broken ones are refused."""

import io
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagefactory.core.errors import BuildError
from imagefactory.engine.iso9660 import Entry, Volume

NAMES: Final = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\"),
    min_size=1,
    max_size=60,
).filter(lambda name: name not in {".", ".."})


def image_of(folder: Path, *words: str) -> bytes:
    if shutil.which("xorrisofs") is None:
        pytest.skip("xorrisofs, which makes the tests' images, is not installed (xorriso)")
    target = folder.with_suffix(".iso")
    command = ["xorrisofs", "-quiet", *words, "-o", str(target), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return target.read_bytes()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


FILES: Final[Mapping[str, bytes]] = {
    "dists/bookworm/Release": b"Suite: stable\n" * 500,
    "pool/main/g/g++/g++_12.2.0-3~deb12u1+b1_amd64.deb": os.urandom(70_000),
    "pool/main/a/a" + "b" * 180 + ".deb": b"long",
    "empty": b"",
    **{f"many/file-{number}": str(number).encode() for number in range(200)},
    "a/b/c/d/e/f/g/h/i/j/deep": b"deep",
}


def whole(volume: Volume, entry: Entry | None, *, offset: int = 0) -> bytes:
    assert entry is not None
    return b"".join(volume.pieces(entry, offset=offset))


def test_rock_ridge_names_links_and_bytes_are_read(tree: Path) -> None:
    (tree / "dists" / "stable").symlink_to("bookworm")
    (tree / "dists" / "far").symlink_to("../dists/./stable/Release")
    (tree / "dists" / "root").symlink_to("/empty")
    (tree / "round").symlink_to("round")
    volume = Volume.read(io.BytesIO(image_of(tree, "-R")))
    assert volume.naming == "rock ridge"
    for name, content in FILES.items():
        assert whole(volume, volume.find(f"/{name}")) == content, name
    release = FILES["dists/bookworm/Release"]
    assert whole(volume, volume.find("dists/stable/Release"), offset=4000) == release[4000:]
    assert whole(volume, volume.find("dists/far")) == release
    assert whole(volume, volume.find("dists/root")) == b""
    assert volume.find("round") is None
    assert volume.find("dists/nothing") is None
    assert volume.find("empty/below") is None


def test_joliet_names_are_read_where_there_is_no_rock_ridge(tree: Path) -> None:
    shutil.rmtree(tree / "pool" / "main" / "a")
    volume = Volume.read(io.BytesIO(image_of(tree, "-J", "-joliet-long")))
    assert volume.naming in {"joliet", "rock ridge"}  # newer ones add it unasked
    assert whole(volume, volume.find("many/file-77")) == b"77"


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(content=st.dictionaries(NAMES, st.binary(max_size=5000), min_size=1, max_size=5))
def test_any_folder_reads_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("any") / "tree"
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    volume = Volume.read(io.BytesIO(image_of(folder, "-R")))
    found = {name: whole(volume, entry) for name, entry in volume.list(volume.root).items()}
    assert found == content


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_broken_image_is_refused_or_read_and_never_worse(
    small: bytes, data: st.DataObject
) -> None:
    broken = bytearray(small)
    places = st.integers(min_value=16 * 2048, max_value=len(broken) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        broken[place] = data.draw(st.integers(0, 255))
    del broken[data.draw(places) :]
    try:
        volume = Volume.read(io.BytesIO(bytes(broken)))
        for path in ("pool/a.deb", "dists/stable/Release"):
            if found := volume.find(path):
                whole(volume, found)
    except BuildError:
        pass


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("small") / "tree"
    (folder / "pool").mkdir(parents=True)
    (folder / "pool" / "a.deb").write_bytes(b"package")
    (folder / "dists" / "bookworm").mkdir(parents=True)
    (folder / "dists" / "bookworm" / "Release").write_text("Suite: stable\n")
    (folder / "dists" / "stable").symlink_to("bookworm")
    return image_of(folder, "-R")[: 1 << 20]


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(BuildError, match="no ISO 9660 image"):
        Volume.read(io.BytesIO(bytes(1 << 17)))
    with pytest.raises(BuildError, match="ends before byte"):
        Volume.read(io.BytesIO(b"short"))
