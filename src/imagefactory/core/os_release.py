"""Reads what a Linux system says it is (os-release(5))."""

import re
from collections.abc import Mapping
from typing import Final

_ASSIGNMENT: Final = re.compile(r"""^([A-Z_]+)=(["']?)(.*)\2\s*$""", re.MULTILINE)


def parse(text: str) -> Mapping[str, str]:
    """The values by their names, such as `ID` and `VERSION_ID`."""
    return {name: value for name, _quote, value in _ASSIGNMENT.findall(text)}
