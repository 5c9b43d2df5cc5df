"""Small sweeps in a database, and what their tests look at."""

from typing import Any

from models_registry.database import Database
from service.use_cases.expand_sweep import expand_sweep
from tests.workers.job_cases import spec
from workers.jobs.parents import list_children
from workers.jobs.read import Job
from workers.jobs.submission import submit
from workers.jobs.sweeps import SweepJobSpec
from workers.settings import Settings

TRAIN: dict[str, Any] = spec().model_dump(mode="json", exclude={"publish"}, exclude_none=True)


def sweep_spec(*betas: float) -> SweepJobSpec:
    """A sweep over these temperatures."""
    return SweepJobSpec.model_validate({"train": TRAIN, "grid": {"target.beta": list(betas)}})


def queue_sweep(database: Database, num_children: int = 3, *, max_attempts: int = 3, key: str | None = None) -> Job:
    """A newly queued sweep."""
    asked = sweep_spec(*(0.1 * (n + 1) for n in range(num_children)))
    job, _ = submit(
        database,
        asked,
        caller="local",
        max_attempts=max_attempts,
        idempotency_key=key,
        children=expand_sweep(asked, Settings()),
    )
    return job


def child_ids(database: Database, parent_id: str) -> list[str]:
    """The children's ids in their order."""
    with database.read() as connection:
        return [child["id"] for child in list_children(connection, parent_id)]


def child_states(database: Database, parent_id: str) -> list[str]:
    """The children's states in their order."""
    with database.read() as connection:
        return [child["state"] for child in list_children(connection, parent_id)]
