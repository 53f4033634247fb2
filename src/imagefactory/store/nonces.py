"""The nonces that clients have used, in a database of its own."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from imagefactory.core.errors import StoreError
from imagefactory.store.files import create_database

_PATIENCE: Final = 5  #: seconds that a writer waits for another process
_PAUSE: Final = 1.0  #: seconds between looks whether the log of what was written is to be emptied
_MANY: Final = 300  #: transactions after which it is
_TABLE: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS nonces (
  client TEXT NOT NULL, nonce TEXT NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (client, nonce)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nonces_by_expiry ON nonces (expires);
"""
_FORGET: Final = "DELETE FROM nonces WHERE expires < ?"
_USE: Final = """
INSERT INTO nonces VALUES (?, ?, ?)
ON CONFLICT (client, nonce) DO UPDATE SET expires = excluded.expires WHERE nonces.expires < ?
"""


@dataclass(frozen=True, kw_only=True)
class Use:
    """A nonce that a client uses, and until when it has to be remembered, in Unix seconds."""

    client: str
    nonce: str
    expires: int


class Nonces:
    """What no client may send again (RFC 5849, 3.3), for all processes of one state folder, whenever they run.

    To use some never waits for the disk, and with it for every build: what is written is the kernel's at
    once, so that a process that is killed loses nothing, and a thread brings it to the disk later. A
    power cut loses the last moments' nonces.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database = self._connect()
        self._forgotten = 0  #: when what is over was last forgotten
        self._written = 0  #: transactions since the log was last emptied
        self._end = threading.Event()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The nonces in this SQLite file, made where needed, while the block runs; `StoreError`."""
        try:
            create_database(path)
            nonces = cls(path)
        except (sqlite3.Error, OSError) as error:
            raise _unusable(path, error) from error
        emptier = threading.Thread(target=nonces._empty, name="nonces", daemon=True)
        emptier.start()
        try:
            yield nonces
        finally:
            nonces._database.close()  # first: the last connection brings what is left to the disk
            nonces._end.set()
            emptier.join()

    def use(self, uses: Sequence[Use]) -> Sequence[bool]:
        """Of each, whether it is the first use of that nonce by that client; `StoreError`."""
        with self._lock:
            try:
                return self._used(uses, int(time.time()))
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    self._database.rollback()
                raise _unusable(self._path, error) from error

    def _used(self, uses: Sequence[Use], now: int) -> Sequence[bool]:
        run = self._database.execute
        run("BEGIN IMMEDIATE")
        if now > self._forgotten:
            run(_FORGET, (now,))
        firsts = [
            run(_USE, (use.client, use.nonce, use.expires, now)).rowcount == 1 for use in uses
        ]
        run("COMMIT")
        self._forgotten = now
        self._written += 1
        return firsts

    def _empty(self) -> None:
        """Bring what was written to the disk whenever there is much of it: that may take long."""
        with closing(self._connect()) as database:
            # This is what makes the file whole after a power cut, whatever of the log is lost.
            database.execute("PRAGMA synchronous = NORMAL")
            while not self._end.wait(_PAUSE):
                if self._written >= _MANY:
                    self._written = 0
                    with suppress(sqlite3.Error):  # whoever uses the database next is told
                        database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            database.executescript(_TABLE)
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA wal_autocheckpoint = 0")
        except sqlite3.Error:
            database.close()
            raise
        return database


def _unusable(path: Path, error: Exception) -> StoreError:
    msg = f'The database "{path}" cannot be used: {error}'
    return StoreError(msg, hint="Remove the file; it holds nothing but nonces of a few minutes")
