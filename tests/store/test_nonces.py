"""A nonce is good once for each client, however many ask at the same time, and whatever has ended since."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from fakes.patience import until
from imagefactory.core.errors import StoreError
from imagefactory.store import nonces as module
from imagefactory.store.nonces import Nonces, Use

LATER = int(time.time()) + 24 * 3600  # far after the last test of the whole suite


def use(nonces: Nonces, client: str, nonce: str, *, until: int = LATER) -> bool:
    [first] = nonces.use([Use(client=client, nonce=nonce, expires=until)])
    return first


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
        threads = stack.enter_context(ThreadPoolExecutor(9))
        asked = [threads.submit(use, nonces, "a", "1") for _ in range(50) for nonces in several]
        assert [future.result(20) for future in asked].count(True) == 1


def test_of_those_that_are_asked_for_together_each_is_good_once(tmp_path: Path) -> None:
    with Nonces.open(tmp_path / "nonces.db") as nonces:
        asked = [Use(client=client, nonce="1", expires=LATER) for client in "abab"]
        assert nonces.use(asked) == [True, True, False, False]


def test_what_was_written_comes_to_the_disk_while_nonces_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MANY", 10)
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    kept = tmp_path / "kept.db"

    def is_kept() -> bool:
        kept.write_bytes((tmp_path / "nonces.db").read_bytes())  # without its log
        with closing(sqlite3.connect(kept)) as database:
            [(count,)] = database.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = 'nonces'"
            )
            return bool(count) and database.execute("SELECT * FROM nonces").fetchone() is not None

    with Nonces.open(tmp_path / "nonces.db") as nonces:
        assert not is_kept()
        for number in range(10):
            assert use(nonces, "a", str(number))
        until(is_kept, seconds=20)
        assert not use(nonces, "a", "1")


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
