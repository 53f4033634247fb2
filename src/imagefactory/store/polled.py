"""What clients poll, read without SQLAlchemy: it takes longer over a statement than SQLite takes to run it.

The statements are its own, compiled once, and so are the conversions of columns.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, bindparam, select
from sqlalchemy.dialects.sqlite import pysqlite

from imagefactory.core.errors import StoreError
from imagefactory.core.images import Image, Status
from imagefactory.store.rows import Family, Summary, image_from, missing
from imagefactory.store.schema import images
from imagefactory.store.sealing import Seal

_DIALECT: Final = pysqlite.dialect(paramstyle="named")
_PATIENCE: Final = 30  #: seconds to wait while the log of a process that was killed is recovered
SUMMARY: Final = (images.c.id, images.c.kind)  #: the columns of a `Summary`, in its order
_READERS: Final[tuple[tuple[str, Callable[[Any], Any] | None], ...]] = tuple(
    (column.name, column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None))
    for column in images.c
)

Statement = tuple[str, Mapping[str, Any]]


def _compiled(wanted: Select[Any]) -> Statement:
    compiled = wanted.compile(dialect=_DIALECT)
    return str(compiled), compiled.params


_ONE: Final = _compiled(select(images).where(images.c.id == bindparam("id")))
_SUMMED_UP: Final = _compiled(select(*SUMMARY).where(images.c.id == bindparam("id")))
_CHILDREN: Final = _compiled(
    select(*SUMMARY).where(images.c.parent_id == bindparam("id")).order_by(images.c.number)
)
_NUMBER: Final = _compiled(select(images.c.number).where(images.c.id == bindparam("id")))
_IDS: Final = _compiled(select(images.c.id))


@lru_cache(maxsize=32)  # there are 16 at most
def _listing(*given: str) -> Statement:
    """Summaries, newest last: each column in `given` equals its parameter, or the number comes `after` it."""
    wanted = select(*SUMMARY).order_by(images.c.number).limit(bindparam("limit"))
    for name in given:
        value: Any = bindparam(name)
        wanted = wanted.where(
            images.c.number > value if name == "after" else images.c[name] == value
        )
    return _compiled(wanted)


class Polled:
    """Reads from the store's database, over connections that are kept open."""

    def __init__(self, path: str, seal: Seal) -> None:
        self._path = path
        self._seal = seal
        self._idle: list[sqlite3.Connection] = []

    def close(self) -> None:
        """Let go of the database."""
        while self._idle:
            self._idle.pop().close()

    def family(self, id: str, kind: type[Image]) -> Family:
        """See `Store.family`."""
        with self._snapshot() as database:
            row = _run(database, _ONE, id=id).fetchone()
            image = None if row is None else image_from(_converted(row), self._seal)
            if not isinstance(image, kind):
                raise missing(id, kind)
            parents = _run(database, _SUMMED_UP, id=image.parent_id).fetchall()
            children = _run(database, _CHILDREN, id=id).fetchall()
        return Family(
            image=image,
            parent=next(map(Summary._make, parents), None),
            children=tuple(map(Summary._make, children)),
        )

    def list(
        self,
        *,
        kind: type[Image] | None,
        parent: str | None,
        status: Status | None,
        limit: int | None,
        marker: str | None,
    ) -> tuple[Summary, ...]:
        """See `Store.list`."""
        values = {"kind": kind and kind.kind, "parent_id": parent, "status": status and str(status)}
        given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        with self._snapshot() as database:
            if marker is not None:
                row = _run(database, _NUMBER, id=marker).fetchone()
                if row is None:
                    raise missing(marker, Image)
                given["after"] = row[0]
            most = -1 if limit is None else limit
            rows = _run(database, _listing(*given), **given, limit=most).fetchall()
        return tuple(map(Summary._make, rows))

    def ids(self) -> frozenset[str]:
        """See `Store.ids`."""
        with self._snapshot() as database:
            return frozenset(id for (id,) in _run(database, _IDS))

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection of nobody else's, which sees the database as it is at one moment."""
        try:
            database = self._idle.pop() if self._idle else self._connected()
        except IndexError:  # somebody was faster
            database = self._connected()
        try:
            database.execute("BEGIN")
            yield database
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        finally:
            self._give_back(database)

    def _give_back(self, database: sqlite3.Connection) -> None:
        try:
            database.rollback()
        except sqlite3.Error:
            database.close()
            return
        self._idle.append(database)

    def _connected(self) -> sqlite3.Connection:
        try:
            # One thread at a time has it, and not always the same.
            database = sqlite3.connect(
                self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            database.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return database

    def _unusable(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f'The database "{self._path}" cannot be used: {error}')


def _run(database: sqlite3.Connection, statement: Statement, **values: Any) -> sqlite3.Cursor:
    text, defaults = statement
    return database.execute(text, {**defaults, **values})


def _converted(row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        name: value if convert is None else convert(value)
        for (name, convert), value in zip(_READERS, row, strict=True)
    }
