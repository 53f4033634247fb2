"""How sizes of disks are read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core import disk_size

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20", 20 * GIB),
        ("20g", 20 * GIB),
        ("20 G", 20 * GIB),
        ("2T", 2048 * GIB),
        ("20 GB", 20_000_000_000),
        ("16GiB", 16 * GIB),
        ("512mib", 512 * 1024**2),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("4096B", 4096),
        ("1PB", 10**15),
        ("7EiB", 7 * 1024**6),
        ("0010", 10 * GIB),
    ],
)
def test_sizes_are_read_as_ever(text: str, size: int) -> None:
    assert disk_size.parse(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "GB", "10k", "10m", "10P", "10e", "1z", "1Y", "10ib", "1.5GB", "-1", "\u0661", "1 0 x"],
)
def test_what_is_no_size_is_refused_in_the_original_s_words(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^Invalid disk size; it must be specified as an integer size"
    ):
        disk_size.parse(text)


@pytest.mark.parametrize("text", ["8EiB", "1ZB", "99999999999999999999YiB", "9" * 5000])
def test_a_size_that_no_file_can_have_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no file can be larger"):
        disk_size.parse(text)


@pytest.mark.parametrize("text", ["0", "000 GB"])
def test_nothing_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        disk_size.parse(text)


@given(st.integers(min_value=1, max_value=disk_size.LARGEST))
def test_a_size_survives_being_written(size: int) -> None:
    assert disk_size.parse(disk_size.show(size)) == size


@given(st.integers(1, 1023), st.sampled_from("kMGTPE"))
def test_round_sizes_are_written_short(count: int, letter: str) -> None:
    text = f"{count}{letter}iB"
    if count < 8 or letter != "E":
        assert disk_size.show(disk_size.parse(text)) == text


@given(st.text(alphabet="0123456789kmgtpezyib KMGTB.-", max_size=12))
def test_every_text_is_a_size_or_is_refused_in_words(text: str) -> None:
    try:
        size = disk_size.parse(text)
    except ValueError as error:
        refusal = str(error)
    else:
        assert 0 < size <= disk_size.LARGEST
        return
    assert refusal.startswith("Invalid disk size")
