"""The migrations build exactly the schema that the tables in the code describe."""

import importlib
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Integer, MetaData, inspect, text

from models_registry import tables
from models_registry.database import METADATA, Database
from models_registry.migrate import migrate
from zoo.specs.errors import InvalidValueError, UnavailableError


def differences(connection: Connection, metadata: MetaData) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def with_every_table() -> MetaData:
    """The metadata after the tables of jobs, defined a layer above, have joined it."""
    importlib.import_module("workers.jobs.table")
    assert tables.versions.metadata is METADATA
    return METADATA


def test_migrated_schema_is_the_one_in_the_code(database: Database) -> None:
    metadata = with_every_table()
    assert {"jobs", "job_events", "job_metrics", "job_logs", "models", "versions"} <= set(metadata.tables)
    with database.read() as connection:
        assert differences(connection, metadata) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE versions ADD COLUMN extra INTEGER",
        "DROP INDEX ix_jobs_kind_created_at",
        "DROP TABLE estimates",
        "CREATE UNIQUE INDEX ix_extra ON jobs (kind)",
    ],
)
def test_every_difference_is_seen(database: Database, change: str) -> None:
    with database.transaction() as connection:
        connection.execute(text(change))
    with database.read() as connection:
        assert differences(connection, with_every_table())


def test_a_column_missing_from_the_migration_is_seen(database: Database) -> None:
    changed = MetaData(naming_convention=METADATA.naming_convention)
    for table in with_every_table().tables.values():
        table.to_metadata(changed)
    changed.tables["jobs"].append_column(Column("forgotten", Integer))
    with database.read() as connection:
        assert differences(connection, changed)


def test_names_of_primary_and_unique_constraints_agree(database: Database) -> None:
    """``compare_metadata`` does not look at primary keys; on PostgreSQL their names matter to the next migration."""
    with database.read() as connection:
        inspector = inspect(connection)
        for table in with_every_table().sorted_tables:
            key = inspector.get_pk_constraint(table.name)
            assert (key["name"], key["constrained_columns"]) == (
                table.primary_key.name,
                table.primary_key.columns.keys(),
            )


def test_migrating_again_changes_nothing(database_file: Path) -> None:
    before = database_file.read_bytes()
    migrate(f"sqlite:///{database_file}")
    assert database_file.read_bytes() == before


def test_several_processes_may_migrate_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            migrate(f"sqlite:///{tmp_path}/new.db")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_downgrade_leaves_only_alembics_own_table(database: Database) -> None:
    from alembic.operations import Operations  # noqa: PLC0415

    newest_first = ("0004_sweeps", "0003_spaces", "0002_datasets", "0001_first_light")
    revisions = [importlib.import_module(f"models_registry.migrations.versions.{name}") for name in newest_first]
    with database.transaction() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            for revision in revisions:
                revision.downgrade()
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("remember the milk, and a good deal more than sixteen bytes of it " * 20)
    with pytest.raises(UnavailableError, match="file is not a database"):
        migrate(f"sqlite:///{tmp_path}/notes.txt")


@pytest.mark.parametrize("url", ["", "nonsense", "mongodb://host/x", "sqlite://", "sqlite:///:memory:"])
def test_an_unknown_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidValueError, match="expected sqlite:///path"):
        migrate(url)
