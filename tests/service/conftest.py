from pathlib import Path

import pytest

from models_registry.database import Database
from models_registry.migrate import migrate
from tests.workers.tiny_models import TinyRegistry
from workers.settings import Settings

NO_REDIS = "unix:///nowhere/redis.sock"


@pytest.fixture(scope="session")
def published_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one version of the model ``made`` in it, and no Redis anywhere."""
    folder = tmp_path_factory.mktemp("published")
    settings = Settings(data_dir=folder)
    migrate(settings.resolved_database_url)
    database = Database(settings.resolved_database_url)
    TinyRegistry(database, folder / "artifacts").publish("made")
    database.dispose()
    return folder


@pytest.fixture
def lonely_settings(published_data_dir: Path) -> Settings:
    """Settings of a gateway that has a registry and no Redis."""
    return Settings(data_dir=published_data_dir, redis_url=NO_REDIS, http_port=0, grpc_port=0)
