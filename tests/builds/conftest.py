"""What the tests of the builds share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.shop import Shop, a_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A factory of the test's own."""
    with a_shop(tmp_path / "state") as shop:
        yield shop
