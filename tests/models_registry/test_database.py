"""Transactions are atomic, the clock is the database's, and outages are told from faults of a statement."""

import math
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import JSON, Text, cast, func, insert, literal, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError, OperationalError

from models_registry.database import Database, now
from models_registry.tables import models
from zoo.specs.errors import UnavailableError


def add(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.execute(insert(models).values(name=name, last_version=0, created_at=now()))


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(models)).scalar_one()


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def interrupted() -> None:
        with database.transaction() as connection:
            connection.execute(insert(models).values(name="m", last_version=0, created_at=0.0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert count(database) == 0


def test_what_a_reader_writes_is_rolled_back(database: Database) -> None:
    with database.read() as connection:
        connection.execute(insert(models).values(name="m", last_version=0, created_at=0.0))
    assert count(database) == 0


def test_a_reader_sees_one_state(database: Database) -> None:
    with database.read() as connection:
        before = connection.execute(select(func.count()).select_from(models)).scalar_one()
        add(database, "m")
        assert connection.execute(select(func.count()).select_from(models)).scalar_one() == before
    assert count(database) == before + 1


def test_a_transaction_holds_the_lock_from_its_start(database: Database, database_file: Path) -> None:
    """Or two could read the same state, and one of their writes would come too late."""
    other = sqlite3.connect(database_file, timeout=0)
    with database.transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_settings_of_every_connection(database: Database) -> None:
    with database.read() as first, database.read() as second:
        for connection in (first, second):
            values = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_the_clock_is_in_seconds_with_a_fraction(database: Database) -> None:
    with database.read() as connection:
        readings = []
        for _ in range(5):
            started = time.time()
            readings.append(connection.execute(select(now())).scalar_one())
            assert started - 0.002 <= readings[-1] <= time.time() + 0.002
            time.sleep(0.003)
    assert readings == sorted(set(readings))
    assert any(reading % 1 for reading in readings)


def test_the_clock_on_postgresql_is_not_the_start_of_the_transaction() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statement = str(select(now()).compile(dialect=dialect))
    assert "extract(epoch FROM clock_timestamp())" in statement


def test_a_locked_database_is_unavailable(database_file: Path) -> None:
    database = Database(f"sqlite:///{database_file}", busy_timeout_seconds=0.05)
    other = sqlite3.connect(database_file)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="database is locked"):
        add(database, "m")
    other.rollback()
    other.close()
    add(database, "m")
    assert count(database) == 1
    database.dispose()


def test_a_writer_of_this_process_that_never_ends_is_not_waited_for_forever(database_file: Path) -> None:
    database = Database(f"sqlite:///{database_file}", busy_timeout_seconds=0.05)
    with database.transaction(), pytest.raises(UnavailableError, match="still writing"):
        add(database, "m")
    database.dispose()


def test_a_full_database_is_unavailable(database: Database) -> None:
    rows = [{"name": f"m{i}", "last_version": 0, "created_at": 0.0} for i in range(5000)]

    def fill() -> None:
        with database.transaction() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.execute(text(f"PRAGMA max_page_count = {pages}"))
            connection.execute(insert(models), rows)

    with pytest.raises(UnavailableError, match="full"):
        fill()
    assert count(database) == 0


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/nowhere/registry.db")
    with pytest.raises(UnavailableError, match="unable to open database file"):
        database.check()


def test_check_passes_on_a_migrated_database_only(database: Database, tmp_path: Path) -> None:
    database.check()
    (tmp_path / "broken.db").write_bytes(b"not a database at all" * 100)
    for name, reason in (("broken.db", "not a database"), ("empty.db", "migrate it")):
        other = Database(f"sqlite:///{tmp_path / name}")
        with pytest.raises(UnavailableError, match=reason):
            other.check()
        other.dispose()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lambda database: run(database, "INSERT INTO models VALUES (NULL, 0, 0.0)"), IntegrityError),
        (lambda database: run(database, "SELECT * FROM no_such_table"), OperationalError),
        (lambda database: run(database, "SELEKT"), OperationalError),
    ],
)
def test_a_wrong_statement_is_not_an_outage(
    database: Database, fault: Callable[[Database], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        fault(database)


def run(database: Database, statement: str) -> None:
    with database.transaction() as connection:
        connection.execute(text(statement))


def test_numbers_that_are_not_finite_are_stored_as_null(database: Database) -> None:
    metrics = literal({"loss": math.nan, "beta_f": -1.5}, JSON)
    with database.read() as connection:
        assert connection.execute(select(cast(metrics, Text))).scalar_one() == '{"loss":null,"beta_f":-1.5}'


def test_many_threads_write_at_once(database: Database) -> None:
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for i in range(10):
                add(database, f"m-{thread}-{i}")
                assert count(database) > 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert count(database) == 240


def test_the_revision_changes_with_every_commit_by_anybody(database: Database, database_file: Path) -> None:
    first = database.revision()
    assert first is not None
    assert database.revision() == first
    count(database)
    assert database.revision() == first
    add(database, "ours")
    second = database.revision()
    assert second != first
    other = Database(f"sqlite:///{database_file}")
    add(other, "theirs")
    assert database.revision() != second
    other.dispose()


def test_a_database_that_is_not_there_has_no_revision(tmp_path: Path) -> None:
    assert Database(f"sqlite:///{tmp_path / 'none' / 'registry.db'}").revision() is None
