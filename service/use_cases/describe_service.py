"""Describe the service: whether it is ready, and what it is."""

import os
from functools import partial
from importlib.metadata import version
from typing import Any

import orjson
from anyio.to_thread import run_sync

from service.context import Context
from zoo.specs.errors import UnavailableError

_LIMITS = (
    "max_body_bytes",
    "max_json_depth",
    "max_sites",
    "max_sample_values",
    "max_job_samples_values",
    "max_estimate_values",
)


async def check_readiness(context: Context) -> dict[str, str]:
    """Each dependency with ``ok`` or what is wrong with it."""
    checks = {"gateway": "draining" if context.draining else "ok", "database": "ok", "redis": "ok", "engine": "ok"}
    try:
        await run_sync(context.database.check)
    except UnavailableError as error:
        checks["database"] = error.detail
    try:
        if not await context.engine.engines():
            checks["engine"] = "no inference engine is alive"
    except UnavailableError as error:
        checks["redis"] = error.detail
        checks["engine"] = "not known while Redis is away"
    return checks


async def describe_service(context: Context) -> dict[str, Any]:
    """Version, limits, engines with device and threads."""
    settings = context.settings
    try:
        engines = [orjson.loads(value) for value in await context.engine.engine_descriptions()]
    except UnavailableError:
        engines = []
    return {
        "name": "helmholtz",
        "version": await run_sync(partial(version, "helmholtz")),
        "limits": {name: getattr(settings, name) for name in _LIMITS}
        | {"sync_limit_seconds": settings.sync_limit_seconds, "max_wait_seconds": settings.max_wait_seconds},
        "engines": engines,
        "cores": os.cpu_count(),
    }
