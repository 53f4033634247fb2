"""Paths are told to debugfs as it reads them, and one that it cannot read is refused."""

import pytest

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk.labels import quoted


def test_a_path_with_blanks_and_quotes_stays_one_word() -> None:
    assert quoted("/a b") == '"/a b"'
    assert quoted('/a"b') == '"/a""b"'


def test_a_line_break_is_refused_with_what_to_do() -> None:
    with pytest.raises(BuildError, match="line break") as caught:
        quoted("/a\nb")
    assert caught.value.hint is not None
