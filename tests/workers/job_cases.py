"""Small jobs in a database, and what their tests look at."""

import time
from typing import Any

from sqlalchemy import select, update

from models_registry.database import Database
from workers.jobs.lease import Claim, claim_next
from workers.jobs.read import Job, find_job
from workers.jobs.specs import TrainJobSpec
from workers.jobs.states import JobState
from workers.jobs.submission import submit
from workers.jobs.table import job_events, jobs

KINDS = frozenset({"train"})
LEASE = 60.0  # longer than any test
SHORT_LEASE = 0.05
LONG_AGO = 3600.0


def spec(max_steps: int = 10) -> TrainJobSpec:
    """A job that differs from others by its number of steps."""
    return TrainJobSpec.model_validate(
        {
            "target": {"kind": "ising", "shape": [2, 2], "beta": 0.4},
            "model": {"family": "made", "width": 4},
            "training": {"max_steps": max_steps},
        }
    )


def queue(database: Database, max_steps: int = 10, *, max_attempts: int = 3, key: str | None = None) -> Job:
    """A newly queued job."""
    job, _ = submit(database, spec(max_steps), caller="local", max_attempts=max_attempts, idempotency_key=key)
    return job


def claim(database: Database, lease_seconds: float = LEASE) -> Claim:
    """A claim on the best job; there must be one."""
    claimed = claim_next(database, lease_seconds, KINDS)
    assert claimed is not None
    return claimed


def claim_and_lose(database: Database) -> Claim:
    """A claim whose lease has run out."""
    claimed = claim(database, SHORT_LEASE)
    time.sleep(SHORT_LEASE + 0.01)
    return claimed


def read(database: Database, job_id: str) -> Job:
    """The job as it stands."""
    with database.read() as connection:
        return find_job(connection, job_id)


def row(database: Database, job_id: str) -> dict[str, Any]:
    """Every column of a job."""
    with database.read() as connection:
        return dict(connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one())


def change(database: Database, job_id: str, **columns: object) -> None:
    """Set columns of a job, past all rules."""
    with database.transaction() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(**columns))


def history(database: Database, job_id: str) -> list[JobState]:
    """The states that a job has entered, in order."""
    query = select(job_events.c.data).where(job_events.c.job_id == job_id, job_events.c.type == "state")
    with database.read() as connection:
        return [JobState(data["state"]) for data in connection.execute(query.order_by(job_events.c.id)).scalars()]
