"""Submitting, cancelling and retrying jobs: one transaction each, and the wake-up after it."""

import uuid
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from models_registry.database import Database, now
from models_registry.digests import canonical_digest
from workers.jobs.events import record_state
from workers.jobs.read import Job, find_job, job_from_row
from workers.jobs.specs import JobSpec
from workers.jobs.states import JobState
from workers.jobs.table import jobs
from zoo.specs.errors import InvalidValueError, StateConflictError


def submit(
    database: Database,
    spec: JobSpec,
    *,
    caller: str,
    max_attempts: int,
    idempotency_key: str | None = None,
    retry_of: str | None = None,
) -> tuple[Job, bool]:
    """The queued job and whether it is new: the same key and body from one caller give the same job.

    Raises:
        InvalidValueError: the idempotency key came before with another body.
    """
    body = spec.model_dump(mode="json")
    digest = canonical_digest(body)
    try:
        with database.transaction() as connection:
            known = _by_key(connection, caller, idempotency_key)
            if known is None:
                job_id = _insert(connection, body, digest, caller, idempotency_key, max_attempts, retry_of)
                return find_job(connection, job_id), True
    except IntegrityError:  # another submission with this key committed in between
        with database.read() as connection:
            known = _by_key(connection, caller, idempotency_key)
    if known is None or known["body_digest"] != digest:
        msg = f"Idempotency-Key {idempotency_key!r} was used before with another body; use a new key for a new job"
        raise InvalidValueError(msg, reason="IDEMPOTENCY_MISMATCH")
    return job_from_row(known), False


def request_cancel(database: Database, job_id: str) -> tuple[Job, bool]:
    """The job after the request, and whether this request was the first.

    A queued job is cancelled at once; a running one is told at its worker's next heartbeat.

    Raises:
        NotFoundError: no such job.
        StateConflictError: the job has finished.
    """
    with database.transaction() as connection:
        job = find_job(connection, job_id)
        state = JobState(job.state)
        if state.finished:
            msg = f"job {job_id} has ended (state: {state.value}); only queued and running jobs can be cancelled"
            raise StateConflictError(msg, reason="JOB_FINISHED")
        if job.cancel_requested:
            return job, False
        changes: dict[str, Any] = {"cancel_requested": True}
        if state is JobState.QUEUED:
            changes |= {"state": JobState.CANCELLED.value, "finished_at": now()}
            record_state(connection, job_id, JobState.CANCELLED)
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(**changes))
        return find_job(connection, job_id), True


def _by_key(connection: Connection, caller: str, key: str | None) -> dict[str, Any] | None:
    if key is None:
        return None
    query = select(jobs).where(jobs.c.caller == caller, jobs.c.idempotency_key == key)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def _insert(
    connection: Connection,
    body: dict[str, Any],
    digest: str,
    caller: str,
    idempotency_key: str | None,
    max_attempts: int,
    retry_of: str | None,
) -> str:
    job_id = uuid.uuid4().hex
    connection.execute(
        insert(jobs).values(
            id=job_id,
            kind=body["kind"],
            state=JobState.QUEUED.value,
            spec=body,
            caller=caller,
            idempotency_key=idempotency_key,
            body_digest=digest,
            priority=0,
            attempt=0,
            max_attempts=max_attempts,
            fence=0,
            cancel_requested=False,
            dispatched_at=now(),
            retry_of=retry_of,
            progress={},
            metrics={},
            created_at=now(),
        )
    )
    record_state(connection, job_id, JobState.QUEUED)
    return job_id
