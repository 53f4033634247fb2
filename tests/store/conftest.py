"""A store and its folder, on real files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefactory.core.config import Config
from imagefactory.store.bodies import Bodies
from imagefactory.store.database import Store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "imagefactory.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    store = Store.open(database)
    yield store
    store.close()


@pytest.fixture
def bodies(tmp_path: Path) -> Bodies:
    return Bodies.open(Config(state=tmp_path / "state"))
