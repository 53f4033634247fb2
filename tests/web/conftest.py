"""What the tests of the HTTP interface share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.api import Api, an_api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """An API of the test's own, without OAuth."""
    with an_api(tmp_path / "state") as api:
        yield api
