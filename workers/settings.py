"""Settings of an installation: environment variables with the prefix HELMHOLTZ_, read once and frozen."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.specs.errors import FieldError, InvalidValueError

PREFIX = "HELMHOLTZ_"
_SECRET = frozenset({"api_key", "database_url", "redis_url"})  # they hold passwords, which no message repeats


class Settings(BaseModel):
    """What an installation can choose; the defaults are one machine, bound to loopback.

    The three URLs default to a database, a directory and a socket of the launcher's own.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)

    host: str = "127.0.0.1"
    http_port: int = Field(default=8000, ge=0, le=65535)
    """0 picks a free port and prints it."""
    grpc_port: int = Field(default=8001, ge=0, le=65535)
    data_dir: Path = Path("helmholtz-data")
    database_url: str | None = None
    artifact_url: str | None = None
    redis_url: str | None = Field(default=None, pattern=r"^(redis|rediss|unix)://")
    api_key: str | None = Field(default=None, min_length=16, repr=False)
    """When set, every request but the health checks carries it as ``Authorization: Bearer``."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    sync_limit_seconds: float = Field(default=10, gt=0)
    """Longest computing time of a synchronous answer, unless the client's ``Prefer: wait`` says otherwise."""
    max_wait_seconds: float = Field(default=300, gt=0)
    max_body_bytes: int = Field(default=64 * 2**20, ge=1024)
    body_seconds: float = Field(default=60, gt=0)
    """Longest time that a client may take to send a body, or to take the next piece of a large answer."""
    max_json_depth: int = Field(default=32, ge=4)
    max_sites: int = Field(default=16_384, ge=1)
    """Largest number of sites of a target."""
    max_sample_values: int = Field(default=2**24, ge=1)
    """Largest n times sites of one answer that carries samples."""
    max_job_samples_values: int = Field(default=2**32, ge=1)
    """Largest n times sites of one job that draws samples."""
    max_estimate_values: int = Field(default=2**28, ge=1)
    """Largest n times sites of one free energy."""
    max_model_size: int = Field(default=2**28, ge=1)
    """Largest working size of a model, in numbers of four bytes: its weights and what is made of them."""
    max_sweep_children: int = Field(default=1000, ge=1)
    """Largest number of jobs of one sweep."""
    max_backlog_seconds: float = Field(default=10, gt=0)
    """Computing time that may wait for each engine; what comes on top is refused with a Retry-After."""
    caller_share: float = Field(default=0.8, gt=0, le=1)
    """The part of it that one caller may have, where callers have keys."""
    response_cache_bytes: int = Field(default=0, ge=0)
    """Memory for answers that are given again to equal requests with equal seeds; 0 keeps none."""
    grace_seconds: float = Field(default=10, gt=0)
    """Time that a draining process has to finish what it has begun."""

    lease_seconds: float = Field(default=10, gt=0)
    """How long a job belongs to a worker that has gone silent."""
    max_attempts: int = Field(default=5, ge=1)
    reaper_seconds: float = Field(default=2, gt=0)
    train_slots: int = Field(default=1, ge=1)
    """Training jobs that one worker runs side by side."""
    train_threads: int = Field(default=0, ge=0)
    """Threads of one training process; 0 means all cores."""
    engines: int = Field(default=1, ge=1, le=64)
    """Inference engines that the launcher starts."""
    engine_threads: int = Field(default=0, ge=0)
    """Threads of an inference engine; 0 means all cores, divided among the engines."""
    engine_name: str = "engine-1"
    """Name of this engine among the consumers of the request stream; each engine needs its own."""
    warm_models: int = Field(default=8, ge=1)
    """Models that an engine keeps in memory at most."""
    warm_model_bytes: int = Field(default=2 * 2**30, ge=1)
    """Bytes of memory for them; one model is always kept."""
    device: str = "auto"

    @property
    def resolved_database_url(self) -> str:
        """The database: by default SQLite in the data directory."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'helmholtz.db').absolute()}"

    @property
    def resolved_artifact_url(self) -> str:
        """The store of blobs: by default a folder in the data directory."""
        return self.artifact_url or (self.data_dir / "artifacts").absolute().as_uri()

    @property
    def resolved_redis_url(self) -> str:
        """The Redis; the launcher sets it for its children when the user named none.

        Raises:
            InvalidValueError: no Redis is named.
        """
        if self.redis_url is None:
            msg = f"{PREFIX}REDIS_URL is not set; start the whole stack with `helmholtz serve`, or name a Redis"
            raise InvalidValueError(msg)
        return self.redis_url

    @property
    def celery_broker_url(self) -> str:
        """The same Redis in the words of Celery, which calls a Unix socket ``redis+socket``."""
        url = self.resolved_redis_url
        return "redis+socket://" + url.removeprefix("unix://") if url.startswith("unix://") else url

    def environment(self) -> dict[str, str]:
        """The environment variables that make a child process read these settings."""
        written = self.model_dump(mode="json", exclude_none=True)
        return {PREFIX + name.upper(): str(value) for name, value in written.items()}


def read_settings(environment: dict[str, str] | None = None) -> Settings:
    """The settings that the environment holds; empty variables count as absent.

    Raises:
        InvalidValueError: a value that is not allowed, naming the variable.
    """
    source = dict(os.environ) if environment is None else environment  # noqa: TID251 - the one place
    fields = {name: source.get(PREFIX + name.upper()) for name in Settings.model_fields}
    try:
        return Settings.model_validate({name: value for name, value in fields.items() if value})
    except ValidationError as error:
        problems = tuple(
            FieldError(PREFIX + name.upper(), e["msg"] if name in _SECRET else f"{e['msg']}; {fields[name]!r} came")
            for e in error.errors()
            for name in [str(e["loc"][0])]
        )
        raise InvalidValueError("; ".join(f"{p.path}: {p.message}" for p in problems), errors=problems) from None
