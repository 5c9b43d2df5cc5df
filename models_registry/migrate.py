"""Bringing a database to the newest schema."""

import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from models_registry.database import Database

MIGRATIONS: Final = Path(__file__).parent / "migrations"

# Alembic keeps the running migration in module globals.
_ONE_AT_A_TIME = threading.Lock()
_POSTGRESQL_LOCK: Final = 5_149_207
"""Any number that nothing else locks."""


def migrate(database_url: str) -> None:
    """Create or upgrade every table, in one transaction; nothing happens when the schema is the newest.

    Raises:
        UnavailableError: the database cannot be opened, or another process keeps it locked.
        InvalidValueError: the URL is not one of a known database.
    """
    database = Database(database_url, busy_timeout_seconds=30)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        with _ONE_AT_A_TIME, database.transaction() as connection:
            _wait_for_other_processes(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.dispose()


def _wait_for_other_processes(connection: Connection) -> None:
    """On SQLite the transaction has locked the file already; on PostgreSQL two could create one table."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _POSTGRESQL_LOCK})
