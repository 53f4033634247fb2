"""A nonce is good once for each client, however many ask at the same time, and whatever has ended since."""

import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from imagefactory.core.errors import StoreError
from imagefactory.store.nonces import Nonces

LATER = int(time.time()) + 24 * 3600  # far after the last test of the whole suite


def use(nonces: Nonces, client: str, nonce: str, *, until: int = LATER) -> bool:
    return nonces.use(client, nonce, until=until).result(20)


def test_a_nonce_is_good_once_for_each_client(tmp_path: Path) -> None:
    with Nonces.open(tmp_path / "nonces.db") as nonces:
        assert use(nonces, "a", "1")
        assert not use(nonces, "a", "1")
        assert use(nonces, "b", "1")
        assert use(nonces, "a", "2")


def test_a_nonce_outlives_its_process(tmp_path: Path) -> None:
    with Nonces.open(tmp_path / "nonces.db") as nonces:
        assert use(nonces, "a", "1")
    with Nonces.open(tmp_path / "nonces.db") as nonces:
        assert not use(nonces, "a", "1")


def test_a_nonce_is_forgotten_when_its_time_is_over(tmp_path: Path) -> None:
    with Nonces.open(tmp_path / "nonces.db") as nonces:
        assert use(nonces, "a", "1", until=1)
        assert use(nonces, "a", "1")


def test_of_many_at_once_one_is_the_first(tmp_path: Path) -> None:
    with ExitStack() as stack:
        several = [stack.enter_context(Nonces.open(tmp_path / "nonces.db")) for _ in range(3)]
        asked = [nonces.use("a", "1", until=LATER) for _ in range(50) for nonces in several]
        assert [future.result(20) for future in asked].count(True) == 1


def test_all_that_was_asked_before_the_end_is_answered(tmp_path: Path) -> None:
    with Nonces.open(tmp_path / "nonces.db") as nonces:
        asked = [nonces.use("a", str(number), until=LATER) for number in range(500)]
    assert all(future.result(0) for future in asked)


def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    with Nonces.open(tmp_path / "state" / "nonces.db") as nonces:
        assert use(nonces, "a", "1")
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()} == {0o600}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "nonces.db").write_bytes(b"no database, surely" * 100)
    with (
        pytest.raises(StoreError, match=r'nonces.db" cannot be used: file is not a database'),
        Nonces.open(tmp_path / "nonces.db"),
    ):
        pass


def test_a_file_that_breaks_is_told_to_who_asks(tmp_path: Path) -> None:
    with Nonces.open(tmp_path / "nonces.db") as nonces:
        database = sqlite3.connect(tmp_path / "nonces.db")
        database.execute("DROP TABLE nonces")
        database.close()
        with pytest.raises(StoreError, match="cannot be used: no such table"):
            use(nonces, "a", "1")
