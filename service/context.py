"""What the use cases work with: the settings, the stores and the engines of one gateway."""

from dataclasses import dataclass, field

from celery import Celery
from redis.asyncio import Redis

from models_registry.aliases import Aliases
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.datasets import Datasets
from models_registry.estimates import Estimates
from models_registry.versions import VersionRecord, Versions
from service.admission import Admission, AdmissionLimits
from service.engine_client import EngineClient
from service.response_cache import ResponseCache
from workers.settings import Settings
from workers.wakeup import wakeup_sender


@dataclass
class Context:
    """Everything that a request may need; made once, shared by REST and gRPC."""

    settings: Settings
    database: Database
    blobs: BlobStore
    versions: Versions
    aliases: Aliases
    estimates: Estimates
    datasets: Datasets
    engine: EngineClient
    wakeups: Celery
    draining: bool = False
    resolved: dict[tuple[str, str | None], tuple[int, VersionRecord]] = field(default_factory=dict)
    """Versions by what they were asked for as, each with the revision of the database in which it was so."""


def build_context(settings: Settings) -> Context:
    """The context that the settings describe; nothing is connected yet."""
    database = Database(settings.resolved_database_url)
    redis = Redis.from_url(settings.resolved_redis_url, socket_connect_timeout=2, socket_timeout=10)
    blobs = BlobStore(settings.resolved_artifact_url)
    return Context(
        settings=settings,
        database=database,
        blobs=blobs,
        versions=Versions(database, blobs),
        aliases=Aliases(database),
        estimates=Estimates(database),
        datasets=Datasets(database, blobs),
        engine=EngineClient(
            redis,
            Admission(AdmissionLimits(settings.max_backlog_seconds, settings.caller_share)),
            ResponseCache(settings.response_cache_bytes),
        ),
        wakeups=wakeup_sender(settings),
    )
