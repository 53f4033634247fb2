"""The nonces that clients have used, in a database of its own, which one thread writes for all who wait."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Self

from imagefactory.core.errors import StoreError
from imagefactory.store.files import create_database

_PATIENCE: Final = 30  #: seconds that a writer waits for another process
_TABLE: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS nonces (
  client TEXT NOT NULL, nonce TEXT NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (client, nonce)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nonces_by_expiry ON nonces (expires);
"""
_FORGET: Final = "DELETE FROM nonces WHERE expires < ?"
_USE: Final = "INSERT OR IGNORE INTO nonces VALUES (?, ?, ?)"


@dataclass(frozen=True, kw_only=True)
class _Use:
    client: str
    nonce: str
    expires: int
    is_first: Future[bool] = field(default_factory=Future)


class Nonces:
    """What no client may send again (RFC 5849, 3.3), for all processes of one state folder, whenever they run.

    Whoever asks while a transaction is written shares the next one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked: SimpleQueue[_Use | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="nonces", daemon=True)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The nonces in this SQLite file, made where needed, while the block runs; `StoreError`."""
        nonces = cls(path)
        try:
            create_database(path)
            with closing(nonces._connect()) as database:
                database.executescript(_TABLE)
        except (sqlite3.Error, OSError) as error:
            raise nonces._unusable(error) from error
        nonces._writer.start()
        try:
            yield nonces
        finally:
            nonces._asked.put(None)
            nonces._writer.join()

    def use(self, client: str, nonce: str, *, until: int) -> Future[bool]:
        """Whether a client uses this nonce for the first time; it is remembered until then, in Unix seconds.

        The future may fail with `StoreError`.
        """
        use = _Use(client=client, nonce=nonce, expires=until)
        self._asked.put(use)
        return use.is_first

    def _write(self) -> None:
        with closing(self._connect()) as database:
            while (first := self._asked.get()) is not None:
                self._answer(database, [first, *self._more()])

    def _more(self) -> Iterator[_Use]:
        """All that have asked meanwhile; the order to end stays for the next look."""
        for _ in range(self._asked.qsize()):
            use = self._asked.get()
            if use is None:
                self._asked.put(None)
                return
            yield use

    def _answer(self, database: sqlite3.Connection, batch: Sequence[_Use]) -> None:
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.execute(_FORGET, (int(time.time()),))
                firsts = [_is_new(database, use) for use in batch]
        except sqlite3.Error as error:
            for use in batch:
                use.is_first.set_exception(self._unusable(error))
            return
        for use, first in zip(batch, firsts, strict=True):
            # Somebody who has hung up does not hear it.
            if use.is_first.set_running_or_notify_cancel():
                use.is_first.set_result(first)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
        # A process that is killed loses nothing, a power cut the last moments' nonces. To keep those as
        # well, every request would wait for the disk, and with it for every build.
        database.execute("PRAGMA synchronous = NORMAL")
        return database

    def _unusable(self, error: Exception) -> StoreError:
        msg = f'The database "{self._path}" cannot be used: {error}'
        return StoreError(msg, hint="Remove the file; it holds nothing but nonces of a few minutes")


def _is_new(database: sqlite3.Connection, use: _Use) -> bool:
    return database.execute(_USE, (use.client, use.nonce, use.expires)).rowcount == 1
