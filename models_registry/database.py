"""The database: its engine, its two ways in, and its clock."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, Float, MetaData, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoResultFound, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from zoo.specs.errors import InvalidValueError, UnavailableError

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

POOL_SIZE: Final = 8
POOL_OVERFLOW: Final = 24

# What SQLite says when the file, the disk or another process is in the way, and not the statement.
_SQLITE_OUTAGES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


class Database:
    """SQLite or PostgreSQL behind one URL; safe to share between threads.

    ``busy_timeout_seconds`` bounds how long a transaction waits for its turn.
    """

    def __init__(self, url: str, *, busy_timeout_seconds: float = 5.0) -> None:
        self.engine = _make_engine(url, busy_timeout_seconds)
        self._busy_timeout_seconds = busy_timeout_seconds
        self._watcher: sqlite3.Connection | None = None
        self._writers = threading.BoundedSemaphore(
            1 if self.engine.dialect.name == "sqlite" else POOL_SIZE + POOL_OVERFLOW
        )
        self._writer = self.engine.execution_options(begin="BEGIN IMMEDIATE")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose changes are committed together, or rolled back when the block raises.

        On SQLite the transaction takes the write lock at its start, so what it reads cannot change before it writes.

        Raises:
            UnavailableError: the database is locked, full, unreadable or away.
        """
        with self._turn(), _outages_translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; whatever it changes is rolled back.

        Raises:
            UnavailableError: the database is locked, unreadable or away.
        """
        with _outages_translated(), self.engine.connect() as connection:
            yield connection

    def revision(self) -> int | None:
        """A number that changes when anything is committed by anybody; None where the database has no such number.

        It takes microseconds, so what was read may be kept until it changes.  Call it from one thread.
        """
        if self.engine.dialect.name != "sqlite":
            return None
        try:
            if self._watcher is None:
                path = self.engine.url.database or ""
                self._watcher = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            found: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            return None
        return found

    def check(self) -> None:
        """Return when the database answers and has been migrated.

        Raises:
            UnavailableError: it does not, or has not.
        """
        try:
            with self.read() as connection:
                connection.execute(text("SELECT version_num FROM alembic_version")).one()
        except (DBAPIError, NoResultFound) as error:
            msg = "the database has no tables yet; migrate it with models_registry.migrate first"
            raise UnavailableError(msg) from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One writer of this process at a time on SQLite, waiting here and not by polling the file's lock.

        Polling is unfair: of 16 threads writing 20 rows each, the unluckiest waited 0.64 s for one, and 0.22 s so.
        """
        if not self._writers.acquire(timeout=self._busy_timeout_seconds):
            msg = "the database does not answer (this process is still writing); try again"
            raise UnavailableError(msg)
        try:
            yield
        finally:
            self._writers.release()

    def dispose(self) -> None:
        """Close the connections that nobody is using."""
        self.engine.dispose()
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None


class now(ColumnElement[float]):  # noqa: N801 - reads as the SQL function it is
    """The database's time in seconds since 1970 (UTC), to the millisecond or better.

    Time is read when the statement runs; within one statement it is one instant on SQLite.
    """

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: SQLCompiler, **_options: object) -> str:
    # 2440587.5 is the Julian day of 1970-01-01T00:00Z
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiler: SQLCompiler, **_options: object) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"


def _make_engine(url: str, busy_timeout_seconds: float) -> Engine:
    """The engine behind ``url``, with the dialect's settings applied to each of its connections.

    JSON that is stored holds no NaN and no infinity: they become null, as in every answer.

    Raises:
        InvalidValueError: the URL is not one of a known database.
    """
    try:
        address = make_url(url)
        sqlite = address.get_backend_name() == "sqlite"
        if sqlite and address.database in {None, "", ":memory:"}:
            msg = "a SQLite database in memory cannot be shared by processes; expected sqlite:///path"
            raise InvalidValueError(msg)
        engine = create_engine(
            url,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=busy_timeout_seconds,
            pool_pre_ping=not sqlite,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError):
        # the URL itself may hold a password
        msg = (
            "DATABASE_URL is not the URL of a known database; expected sqlite:///path or postgresql+psycopg://host/name"
        )
        raise InvalidValueError(msg) from None
    if sqlite:
        _set_up_sqlite(engine, busy_timeout_seconds)
    return engine


def _set_up_sqlite(engine: Engine, busy_timeout_seconds: float) -> None:
    """Write-ahead log, durable commits, foreign keys, and transactions that begin when we say so."""

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # or the driver would begin transactions of its own
        # busy_timeout first: the others may have to wait
        for setting in (
            f"busy_timeout={round(busy_timeout_seconds * 1000)}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


@contextmanager
def _outages_translated() -> Iterator[None]:
    """Let every error pass, but those of a database that is busy or away leave as ``UnavailableError``."""
    try:
        yield
    except PoolTimeoutError as error:
        msg = f"all {POOL_SIZE + POOL_OVERFLOW} connections to the database are in use; try again"
        raise UnavailableError(msg) from error
    except (DBAPIError, sqlite3.Error) as error:
        reason = _outage(error)
        if reason is None:
            raise
        msg = f"the database does not answer ({reason}); try again"
        raise UnavailableError(msg) from error


def _outage(error: DBAPIError | sqlite3.Error) -> str | None:
    """What is wrong when the database is busy or away; None when the statement itself is at fault."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary result code
        return str(cause) if code in _SQLITE_OUTAGES else None
    # a driver's own words may name hosts and users
    away = isinstance(error, OperationalError | InterfaceError) or getattr(error, "connection_invalidated", False)
    return "connection refused, lost or interrupted" if away else None
