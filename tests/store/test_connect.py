"""A database is made, migrated or refused; several processes may use it at once."""

import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from fakes.images import an_id
from imagefactory.core.errors import StoreError
from imagefactory.core.images import BaseImage
from imagefactory.store.connect import MIGRATIONS, WRITE, _engine
from imagefactory.store.database import Store
from imagefactory.store.schema import REVISION, metadata
from imagefactory.store.work import open_work


def alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process of the same program."""
    argv = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def finish(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What processes have printed, when all of them have ended well."""
    printed = [process.communicate(timeout=50)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed


def test_the_schema_is_what_the_migrations_make(store: Store) -> None:
    assert ScriptDirectory.from_config(alembic()).get_heads() == [REVISION]
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("revision", [f"{number:04}" for number in range(1, 5)])
def test_an_older_database_is_migrated_with_all_in_it(database: Path, revision: str) -> None:
    database.parent.mkdir()
    config = alembic()
    engine = _engine(database)
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.exec_driver_sql(
            "INSERT INTO images (id, kind, status, activity, percent, properties, labels, created,"
            " updated, cancel_requested, version, parameters, template) VALUES (?, 'BaseImage',"
            " 'COMPLETE', 'Done', 100, '{}', '{}', '2024-05-01 10:00:00.000000',"
            " '2024-05-01 10:00:00.000000', 0, 3, '{}', ?)",
            (an_id(1), "<rootpw>in the clear</rootpw>"),
        )
    engine.dispose()
    assert b"in the clear" in b"".join(path.read_bytes() for path in database.parent.iterdir())
    with closing(Store.open(database)) as store:
        image = store.image(an_id(1), BaseImage)
        assert (image.percent, image.version, image.created.year) == (100, 3, 2024)
        assert (image.parameters, image.template) == ({}, "<rootpw>in the clear</rootpw>")
        kept = b"".join(path.read_bytes() for path in database.parent.iterdir())
        assert b"in the clear" not in kept, "what an older program kept readable is encrypted"
        with store.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_newer_database_is_left_alone(store: Store, database: Path) -> None:
    store.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = database.read_bytes()
    with pytest.raises(
        StoreError, match=r'was written by a newer program \(its schema is "9999"\)'
    ):
        Store.open(database)
    assert database.read_bytes() == before


@pytest.mark.parametrize("content", [b"This is a text of some length\n" * 999, b"\0" * 8192])
def test_a_damaged_database_is_refused_in_one_sentence(database: Path, content: bytes) -> None:
    database.parent.mkdir()
    database.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        Store.open(database)
    assert str(caught.value) == f'The database "{database}" cannot be used: file is not a database'


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r'The database ".*/file/a.db" cannot be opened: '):
        Store.open(tmp_path / "file" / "a.db")
    with pytest.raises(StoreError, match="cannot be used: unable to open database file"):
        Store.open(tmp_path)


def test_odd_paths_are_only_paths(tmp_path: Path) -> None:
    odd = tmp_path / "a%20b?mode=memory#c.db"
    Store.open(odd).close()
    assert odd.stat().st_size > 0


def test_the_database_is_durable_and_the_owners_alone(store: Store, database: Path) -> None:
    store.add(BaseImage(id=an_id(1)))
    with store.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }
    files = sorted(database.parent.glob("imagefactory.db*"))
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_current_database_is_opened_without_alembic(store: Store, database: Path) -> None:
    store.close()
    script = """
        import sys
        from pathlib import Path
        from imagefactory.store.database import Store
        Store.open(Path(sys.argv[1])).close()
        assert "sqlalchemy" in sys.modules
        assert "alembic" not in sys.modules
    """
    finish([start(script, database)])


def test_processes_that_start_together_make_one_database(database: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from imagefactory.core.images import BaseImage
        from imagefactory.store.database import Store
        store = Store.open(Path(sys.argv[1]))
        store.add(BaseImage(id=sys.argv[2]))
    """
    finish([start(script, database, an_id(number)) for number in range(3)])
    with closing(Store.open(database)) as store:
        assert store.ids() == {an_id(number) for number in range(3)}


def test_threads_of_two_processes_lose_nothing(store: Store, database: Path) -> None:
    script = """
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from dataclasses import replace
        from pathlib import Path
        from imagefactory.core.errors import Conflict
        from imagefactory.store.database import Store

        store = Store.open(Path(sys.argv[1]))

        def more(image):
            return replace(image, properties={"count": image.properties["count"] + 1})

        def work(number):
            refused = 0
            for turn in range(10):
                store.report(sys.argv[2], number, f"{number}.{turn}")
                store.change(sys.argv[2], more)
                while True:
                    try:
                        store.save(more(store.image(sys.argv[2])))
                        break
                    except Conflict:
                        refused += 1
            return refused

        with ThreadPoolExecutor(4) as pool:
            print(sum(pool.map(work, range(4))))
    """
    store.add(BaseImage(id=an_id(1), properties={"count": 0}))
    refused = finish([start(script, database, an_id(1)) for _ in range(2)])
    image = store.image(an_id(1))
    assert image.properties == {"count": 2 * 4 * 10 * 2}
    assert image.version == 2 * 4 * 10 * 2
    assert image.percent == 3
    assert len(store.events(image=an_id(1))) == 1 + 2 * 4 * 10
    assert all(int(count) >= 0 for count in refused)


def test_what_a_killed_process_had_saved_is_there(store: Store, database: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from uuid import UUID
        from imagefactory.core.images import BaseImage
        from imagefactory.store.database import Store
        store = Store.open(Path(sys.argv[1]))
        for number in range(10_000):
            store.add(BaseImage(id=str(UUID(int=number))))
            print(number, flush=True)
    """
    process = start(script, database)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    process.kill()
    last = [int(line) for line in process.communicate(timeout=50)[0].splitlines() if line][-1:]
    kept = len(store.ids())
    assert kept >= (last[0] + 1 if last else 20)
    assert kept == len(store.events(limit=10_000))
    deadline = time.monotonic() + 5
    store.add(BaseImage(id="another"))  # the lock died with the process
    assert time.monotonic() < deadline


@pytest.mark.parametrize("open_again", [open_work, lambda path: Store.open(path).engine])
def test_opened_twice_it_keeps_its_log_when_another_process_ends(
    database: Path, open_again: Callable[[Path], Engine]
) -> None:
    engine = open_again(database)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE used (by TEXT)")
        connection.commit()
        again = open_again(database)
        use = """
            import sqlite3, sys
            database = sqlite3.connect(sys.argv[1])
            database.execute("INSERT INTO used VALUES ('another')")
            database.commit()
            database.close()
        """
        finish([start(use, database)])
        # The last who closes a database removes its log: nobody else may take himself for the last.
        assert database.with_name(f"{database.name}-wal").exists()
        connection.exec_driver_sql("INSERT INTO used VALUES ('one')")
        connection.commit()
    for each in (engine, again):
        each.dispose()
    with closing(sqlite3.connect(database)) as checked:
        assert checked.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert len(checked.execute("SELECT * FROM used").fetchall()) == 2
