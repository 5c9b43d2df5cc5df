"""Bringing a database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from models_registry.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"


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
        with database.transaction() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.dispose()
