"""Opens the database in which the durable engine keeps its jobs."""

import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from imagefactory.store.files import create_database

_PATIENCE: Final = 30  #: seconds that a writer waits for another one


def open_work(path: Path) -> Engine:
    """An engine on this SQLite file, made where needed; its tables are the durable engine's own.

    Its transactions take the write lock with their first change, by the driver's own means: the durable
    engine says BEGIN IMMEDIATE itself where it has to, which a hook would double.
    """
    create_database(path)
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _PATIENCE, "isolation_level": "IMMEDIATE"},
        max_overflow=-1,
    )
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # A finished step must survive a power cut, or it would be done twice.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
