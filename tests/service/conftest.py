import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models_registry.database import Database
from models_registry.migrate import migrate
from service import engine_client
from service.context import Context, build_context
from service.rest.app import build_app
from tests.workers.redis_server import RedisServer
from tests.workers.tiny_models import TinyRegistry
from workers.settings import Settings

NO_REDIS = "unix:///nowhere/redis.sock"
LIMITS = Settings(max_body_bytes=20_000, max_sample_values=4000, max_sites=300)

Ask = Callable[..., httpx.Response]


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


@pytest.fixture(scope="session")
def running_redis() -> Iterator[RedisServer]:
    """A Redis for all tests of this session."""
    running = RedisServer()
    yield running
    running.stop()


@pytest.fixture
def redis_server(running_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """An empty Redis, for gateways that wait for little."""
    monkeypatch.setattr(engine_client, "_BLOCK_MILLISECONDS", 50)
    monkeypatch.setattr(engine_client, "_GRACE_SECONDS", 0.1)
    with running_redis.client() as client:
        client.flushall()
    return running_redis


@pytest.fixture
def lonely_settings(published_data_dir: Path) -> Settings:
    """Settings of a gateway that has a registry and no Redis."""
    return Settings(data_dir=published_data_dir, redis_url=NO_REDIS, http_port=0, grpc_port=0)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A gateway with a registry of its own and no Redis."""
    own = LIMITS.model_copy(update={"data_dir": tmp_path, "redis_url": NO_REDIS})
    migrate(own.resolved_database_url)
    return build_context(own)


@pytest.fixture
def ask(context: Context) -> Ask:
    """Sends one request to the application."""

    def send(method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(build_app(context), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **options)

        return asyncio.run(once())

    return send
