import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from redis import Redis

from models_registry.database import Database
from models_registry.migrate import migrate
from tests.workers.redis_server import RedisServer
from tests.workers.tiny_models import TinyRegistry


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A job prepares its thread, which here is that of all tests."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def migrated_jobs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database that nobody writes to."""
    file = tmp_path_factory.mktemp("migrated") / "helmholtz.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def jobs_database(migrated_jobs_file: Path, tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{shutil.copy(migrated_jobs_file, tmp_path / 'helmholtz.db')}")
    yield database
    database.dispose()


@pytest.fixture
def registry(jobs_database: Database, tmp_path: Path) -> TinyRegistry:
    """An empty registry over a fresh database and a folder of blobs."""
    return TinyRegistry(jobs_database, tmp_path / "artifacts")


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """A real Redis on a Unix socket."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """A client of an empty Redis."""
    client = redis_server.client()
    client.flushall()
    yield client
    client.close()
