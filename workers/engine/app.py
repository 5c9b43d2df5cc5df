"""The Celery application of the inference engine: Celery gives the life-cycle, a bootstep holds the engine's thread."""

import os
import threading
from typing import Any

import structlog
from celery import Celery, bootsteps
from redis import Redis

from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.versions import Versions
from workers.compute import choose_device, prepare_thread
from workers.engine.loop import EngineLoop
from workers.engine.models import WarmModels
from workers.engine.operations import Engine
from workers.engine.references import References
from workers.logs import configure_logging
from workers.settings import Settings, read_settings
from workers.wakeup import configure

log = structlog.get_logger()

ENGINE_QUEUE = "infer"


class EngineStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Starts the engine's thread with the worker and ends it with the worker."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:  # noqa: ANN401 - celery has no types
        """Begin to serve."""
        settings = read_settings()
        configure_logging(settings.log_level)
        self._loop = build_loop(settings)
        arguments = (self._loop, settings.engine_threads)
        self._thread = threading.Thread(target=_serve_or_exit, args=arguments, name="engine", daemon=True)
        self._thread.start()

    def stop(self, parent: Any) -> None:  # noqa: ANN401
        """Finish the request in hand."""
        self._loop.stop()
        self._thread.join(read_settings().grace_seconds)


def build_loop(settings: Settings) -> EngineLoop:
    """The engine that the settings describe."""
    device = choose_device(settings.device)
    versions = Versions(Database(settings.resolved_database_url), BlobStore(settings.resolved_artifact_url))
    references = References(settings.engine_threads or os.cpu_count() or 1)
    references.prepare()
    engine = Engine(WarmModels(versions, settings.warm_models, device, settings.warm_model_bytes), device, references)
    redis = Redis.from_url(settings.resolved_redis_url, socket_connect_timeout=2, socket_timeout=10)
    info = {"name": settings.engine_name, "device": str(device), "threads": settings.engine_threads or os.cpu_count()}
    return EngineLoop(redis, engine, settings.engine_name, info)


def _serve_or_exit(loop: EngineLoop, threads: int) -> None:
    prepare_thread(threads)
    try:
        loop.run()
    except BaseException:
        log.exception("the engine's loop failed; its process ends and is started again")
        os._exit(70)


app = configure(Celery("engine"), read_settings())
app.conf.task_default_queue = ENGINE_QUEUE
app.steps["worker"].add(EngineStep)
