"""Sizes of disks as people write them, in bytes: `4GiB`, `10 TB`, and `20` for 20 GiB."""

import re
from collections.abc import Mapping
from typing import Final

INVALID: Final = (
    "Invalid disk size; it must be specified as an integer size with an optional "
    "SI or IEC unit suffix, e.g. '10TB' or '16GiB'"
)
LARGEST: Final = 2**63 - 1  #: the longest file that an operating system knows

_LETTERS: Final = "kmgtpezy"
_UNITS: Final[Mapping[str, int]] = {
    "": 1024**3,  # this and the next two are older than the rest, and stay for old templates
    "g": 1024**3,
    "t": 1024**4,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate(_LETTERS, 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate(_LETTERS, 1)},
}
_DIGITS_OF_LARGEST: Final = len(str(LARGEST))


def parse(text: str) -> int:
    """The bytes that a text means; `ValueError` holds the sentence to show."""
    match = re.fullmatch(r"0*([0-9]+)([a-z]*)", text.replace(" ", "").lower(), re.ASCII)
    if match is None or match[2] not in _UNITS:
        raise ValueError(INVALID)
    too_long = len(match[1]) > _DIGITS_OF_LARGEST
    size = LARGEST + 1 if too_long else int(match[1]) * _UNITS[match[2]]
    if size > LARGEST:
        msg = "Invalid disk size; no file can be larger than 8 EiB less one byte"
        raise ValueError(msg)
    if not size:
        msg = "Invalid disk size; it must be more than nothing"
        raise ValueError(msg)
    return size


def show(size: int) -> str:
    """The shortest exact way to write so many bytes: `parse(show(size)) == size`."""
    for power, letter in reversed(list(enumerate(_LETTERS, 1))):
        whole, rest = divmod(size, 1024**power)
        if whole and not rest:
            return f"{whole}{letter.upper().replace('K', 'k')}iB"
    return f"{size}B"
