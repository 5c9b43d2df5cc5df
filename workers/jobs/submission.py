"""Submitting, cancelling and retrying jobs: one transaction each, and the wake-up after it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from models_registry.database import Database, now
from models_registry.digests import canonical_digest
from workers.jobs.events import record_state
from workers.jobs.parents import (
    PARENT_KINDS,
    cancel_children,
    lock_unfinished_children,
    starting_progress,
    update_parents,
)
from workers.jobs.read import Job, find_job, job_from_row
from workers.jobs.specs import JobSpec
from workers.jobs.states import JobState
from workers.jobs.sweeps import Child
from workers.jobs.table import job_events, jobs
from zoo.specs.errors import InvalidValueError, StateConflictError


def submit(
    database: Database,
    spec: JobSpec,
    *,
    caller: str,
    max_attempts: int,
    idempotency_key: str | None = None,
    retry_of: str | None = None,
    children: Sequence[Child] = (),
    asked: JobSpec | None = None,
) -> tuple[Job, bool]:
    """The queued job and whether it is new: the same key and body from one caller give the same job.

    A parent and its ``children`` come into being together; the key is the parent's.  ``asked`` is the body where it is
    not ``spec`` itself, in which things may have been settled that are not the same each time.

    Raises:
        InvalidValueError: the idempotency key came before with another body.
    """
    body = spec.model_dump(mode="json")
    digest = canonical_digest(body if asked is None else asked.model_dump(mode="json"))
    order = _Order(caller, max_attempts, idempotency_key, retry_of)
    try:
        with database.transaction() as connection:
            known = _by_key(connection, caller, idempotency_key)
            if known is None:
                job_id = _insert(connection, body, digest, order, starting_progress(len(children)) if children else {})
                if children:
                    _insert_children(connection, job_id, order, children)
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

    A queued job is cancelled at once; a running one is told at its worker's next heartbeat.  What is asked of a parent
    is asked of each of its children that has not ended.

    Raises:
        NotFoundError: no such job.
        StateConflictError: the job has finished.
    """
    with database.transaction() as connection:
        is_parent = find_job(connection, job_id).kind in PARENT_KINDS
        if is_parent:
            lock_unfinished_children(connection, job_id)
        connection.execute(select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())
        job = find_job(connection, job_id)
        state = JobState(job.state)
        if state.finished:
            msg = f"job {job_id} has ended (state: {state.value}); only queued and running jobs can be cancelled"
            raise StateConflictError(msg, reason="JOB_FINISHED")
        if job.cancel_requested:
            return job, False
        changes: dict[str, Any] = {"cancel_requested": True}
        if is_parent:
            cancel_children(connection, job_id)
        elif state is JobState.QUEUED:
            changes |= {"state": JobState.CANCELLED.value, "finished_at": now()}
            record_state(connection, job_id, JobState.CANCELLED)
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(**changes))
        update_parents(connection, [job_id if is_parent else job.parent])
        return find_job(connection, job_id), True


@dataclass(frozen=True)
class _Order:
    """Who wants a job, and on what terms."""

    caller: str
    max_attempts: int
    idempotency_key: str | None = None
    retry_of: str | None = None


def _by_key(connection: Connection, caller: str, key: str | None) -> dict[str, Any] | None:
    if key is None:
        return None
    query = select(jobs).where(jobs.c.caller == caller, jobs.c.idempotency_key == key)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def _insert(connection: Connection, body: dict[str, Any], digest: str, order: _Order, progress: dict[str, Any]) -> str:
    job_id = uuid.uuid4().hex
    row = _new_row(job_id, body, digest, order)
    own = {"idempotency_key": order.idempotency_key, "retry_of": order.retry_of, "progress": progress}
    connection.execute(insert(jobs).values(**(row | own), dispatched_at=now(), created_at=now()))
    record_state(connection, job_id, JobState.QUEUED)
    return job_id


def _insert_children(connection: Connection, parent_id: str, order: _Order, children: Sequence[Child]) -> None:
    """Insert the children of one instant; their place among each other is their position."""
    at = float(connection.execute(select(now())).scalar_one())
    rows = []
    for position, child in enumerate(children):
        body = child.spec.model_dump(mode="json")
        row = _new_row(uuid.uuid4().hex, body, canonical_digest(body), order)
        place = {"parent": parent_id, "parent_position": position, "parent_values": child.values}
        rows.append(row | place | {"dispatched_at": at, "created_at": at})
    connection.execute(insert(jobs), rows)
    queued = {"type": "state", "data": {"state": JobState.QUEUED.value}, "at": at}
    connection.execute(insert(job_events), [queued | {"job_id": row["id"]} for row in rows])


def _new_row(job_id: str, body: dict[str, Any], digest: str, order: _Order) -> dict[str, Any]:
    """The columns that every new job has."""
    return {
        "id": job_id,
        "kind": body["kind"],
        "state": JobState.QUEUED.value,
        "spec": body,
        "caller": order.caller,
        "body_digest": digest,
        "priority": 0,
        "attempt": 0,
        "max_attempts": order.max_attempts,
        "fence": 0,
        "cancel_requested": False,
        "progress": {},
        "metrics": {},
    }
