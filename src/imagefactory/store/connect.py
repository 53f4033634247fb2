"""Opens a database, and brings it to the schema of this program."""

import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from imagefactory.core.errors import StoreError
from imagefactory.store.files import alone, create_database
from imagefactory.store.schema import REVISION, SEAL
from imagefactory.store.sealing import KEY, Seal

MIGRATIONS: Final = Path(__file__).parent / "migrations"
WRITE: Final = "imagefactory_write"  #: the execution option of a connection that is going to write
_PATIENCE: Final = 30  #: seconds that a writer waits for another one


def open_sqlite(path: Path) -> Engine:
    """An engine on the database in this file, which is made or migrated where needed. `StoreError`."""
    try:
        create_database(path)
        engine = _engine(path)
    except OSError as error:
        msg = f'The database "{path}" cannot be opened: {error.strerror}'
        raise StoreError(msg) from error
    try:
        if _revision(engine) != REVISION:
            with alone(path.parent):
                _migrate(engine, path)
    except DBAPIError as error:
        engine.dispose()
        msg = f'The database "{path}" cannot be used: {error.orig}'
        raise StoreError(msg, hint="Restore it from a backup, or move it away") from error
    except StoreError:
        engine.dispose()
        raise
    return engine


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        json_serializer=partial(json.dumps, allow_nan=False),
        connect_args={"timeout": _PATIENCE},
        max_overflow=-1,
        execution_options={SEAL: Seal.open(path.with_name(KEY))},
        hide_parameters=True,  # templates and providers hold passwords, and errors are logged
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # Python's driver would begin transactions only before a change; `_begin` does it instead.
    connection.isolation_level = None
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # Who reads first and writes later must hold the write lock from the start: SQLite lets nobody wait
    # for it in the middle of a transaction.
    writes = connection.get_execution_options().get(WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision


def _migrate(engine: Engine, path: Path) -> None:
    # Alembic takes longer to import than all the rest of a start, and most starts do not need it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    revision = _revision(engine)
    if revision is not None and revision not in known:
        msg = f'The database "{path}" was written by a newer program (its schema is "{revision}")'
        raise StoreError(msg, hint="Start the newest program that has ever used it")
    with closing(engine.raw_connection()) as raw:
        raw.cursor().execute("PRAGMA journal_mode = WAL")
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    if revision is not None:
        # What a migration has encrypted must not stay readable in the slack of a page, or in the log.
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("VACUUM")
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
