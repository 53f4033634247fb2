"""An image moves along one table of states, and its percentage never falls."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core.images import BaseImage, Status

ALLOWED = {
    ("NEW", "PENDING"), ("NEW", "BUILDING"), ("NEW", "FAILED"), ("NEW", "DELETING"),
    ("PENDING", "BUILDING"), ("PENDING", "FAILED"), ("PENDING", "DELETING"),
    ("BUILDING", "COMPLETE"), ("BUILDING", "FAILED"), ("BUILDING", "DELETING"),
    ("COMPLETE", "DELETING"),
    ("FAILED", "PENDING"), ("FAILED", "BUILDING"), ("FAILED", "DELETING"),
    ("DELETING", "DELETED"), ("DELETING", "DELETEFAILED"),
    ("DELETEFAILED", "DELETING"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), list(itertools.product(Status, Status)))
def test_only_the_moves_of_the_table_are_allowed(old: Status, new: Status) -> None:
    image = BaseImage(id="a", status=old)
    if (old.value, new.value) in ALLOWED:
        assert image.to(new).status is new
    else:
        with pytest.raises(ValueError, match=f'from "{old}" to "{new}"'):
            image.to(new)


@given(st.lists(st.integers(min_value=-5, max_value=200)))
def test_percent_never_falls_and_is_100_only_at_the_end(reports: list[int]) -> None:
    image = BaseImage(id="a").to(Status.BUILDING)
    for percent in reports:
        further = image.at(percent)
        assert image.percent <= further.percent <= 99
        image = further
    assert image.to(Status.COMPLETE).percent == 100
