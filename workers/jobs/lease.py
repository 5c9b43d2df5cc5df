"""Claim, lease and fence: how one job has one owner although workers die, stall and come back.

A claim is a compare-and-set that increments ``fence``; every later write of the owner names that fence, so a worker
that lost its lease (it slept, it was cut off) changes nothing.  Time is the database's.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, insert, or_, select, update

from models_registry.database import Database, now
from workers.jobs.events import record_event, record_state
from workers.jobs.parents import PARENT_KINDS, update_parents
from workers.jobs.states import JobState
from workers.jobs.table import job_logs, job_metrics, jobs


@dataclass(frozen=True)
class Claim:
    """The right to write to a job, until the lease ends."""

    job_id: str
    fence: int
    attempt: int
    max_attempts: int
    kind: str
    spec: dict[str, Any]
    parent: str | None = None


class LeaseLostError(Exception):
    """The job belongs to somebody else now, or has ended; whatever the former owner has is worthless."""


def claim_next(database: Database, lease_seconds: float, kinds: frozenset[str]) -> Claim | None:
    """The best job that is queued or whose lease has expired, now owned by the caller; None when there is none."""
    with database.transaction() as connection:
        claimable = or_(jobs.c.state == JobState.QUEUED.value, _expired())
        query = (
            select(jobs)
            .where(claimable, jobs.c.attempt < jobs.c.max_attempts, jobs.c.kind.in_(kinds - PARENT_KINDS))
            .order_by(jobs.c.priority.desc(), jobs.c.created_at, jobs.c.parent_position)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        claim = Claim(
            job_id=row["id"],
            fence=row["fence"] + 1,
            attempt=row["attempt"] + 1,
            max_attempts=row["max_attempts"],
            kind=row["kind"],
            spec=row["spec"],
            parent=row["parent"],
        )
        changed = connection.execute(
            update(jobs)
            .where(jobs.c.id == claim.job_id, jobs.c.fence == row["fence"], claimable)
            .values(
                state=JobState.RUNNING.value,
                fence=claim.fence,
                attempt=claim.attempt,
                lease_until=now() + lease_seconds,
                started_at=case((jobs.c.started_at.is_(None), now()), else_=jobs.c.started_at),
            )
        )
        if changed.rowcount == 0:
            return None
        record_state(connection, claim.job_id, JobState.RUNNING, attempt=claim.attempt)
        update_parents(connection, [claim.parent])
        return claim


def heartbeat(database: Database, claim: Claim, lease_seconds: float) -> bool:
    """Prolong the lease; whether a cancel has been requested.

    Raises:
        LeaseLostError: the lease went to somebody else.
    """
    with database.transaction() as connection:
        _write(connection, claim, lease_until=now() + lease_seconds)
        query = select(jobs.c.cancel_requested).where(jobs.c.id == claim.job_id)
        return bool(connection.execute(query).scalar_one())


@dataclass(frozen=True)
class Report:
    """What a running job has to tell since its last report; ``points`` are rows (name, step, value)."""

    progress: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    points: tuple[tuple[str, int, float], ...] = ()
    lines: tuple[str, ...] = ()


def record_report(database: Database, claim: Claim, report: Report) -> None:
    """Write a report in one transaction.

    Raises:
        LeaseLostError: the lease went to somebody else.
    """
    with database.transaction() as connection:
        changes = {name: value for name, value in (("progress", report.progress), ("metrics", report.metrics)) if value}
        _write(connection, claim, **changes)
        if report.progress:
            record_event(connection, claim.job_id, "progress", report.progress)
        if report.metrics:
            record_event(connection, claim.job_id, "metric", report.metrics)
        if report.points:
            _upsert_points(connection, claim.job_id, report.points)
        if report.lines:
            connection.execute(
                insert(job_logs),
                [{"job_id": claim.job_id, "at": _seconds(connection), "line": x} for x in report.lines],
            )
        if report.progress:
            update_parents(connection, [claim.parent])


def finish(connection: Connection, claim: Claim, state: JobState, **columns: object) -> None:
    """Enter a terminal state inside the caller's transaction: it commits with everything else, once.

    It comes last in the transaction, since it may lock the job's parent.

    Raises:
        LeaseLostError: the lease went to somebody else, or the job has ended.
    """
    _write(connection, claim, state=state.value, lease_until=None, finished_at=now(), **columns)
    record_state(connection, claim.job_id, state)
    update_parents(connection, [claim.parent])


def release(database: Database, claim: Claim, why: str, *, counts_as_attempt: bool) -> None:
    """Give a running job back to the queue, from where it resumes at its last checkpoint.

    Raises:
        LeaseLostError: the lease went to somebody else.
    """
    with database.transaction() as connection:
        attempt = claim.attempt if counts_as_attempt else claim.attempt - 1
        _write(connection, claim, state=JobState.QUEUED.value, lease_until=None, attempt=attempt, dispatched_at=None)
        record_state(connection, claim.job_id, JobState.QUEUED, why=why)
        update_parents(connection, [claim.parent])


def reap(database: Database, redispatch_after_seconds: float) -> list[str]:
    """Jobs that need a wake-up: queued ones not dispatched recently, and expired ones put back in the queue.

    A job that has used up its attempts, or whose owner died after a cancel request, is ended here.
    """
    with database.transaction() as connection:
        expired = connection.execute(select(jobs).where(_expired()).order_by(jobs.c.id)).mappings().all()
        for row in expired:
            _end_lease(connection, dict(row))
        stale = or_(jobs.c.dispatched_at.is_(None), jobs.c.dispatched_at < now() - redispatch_after_seconds)
        query = select(jobs.c.id).where(jobs.c.state == JobState.QUEUED.value, stale, jobs.c.kind.not_in(PARENT_KINDS))
        # a job that somebody is claiming or cancelling at this moment needs no wake-up
        query = query.order_by(jobs.c.created_at).limit(100).with_for_update(skip_locked=True)
        waiting = list(connection.execute(query).scalars())
        if waiting:
            connection.execute(update(jobs).where(jobs.c.id.in_(waiting)).values(dispatched_at=now()))
        update_parents(connection, [row["parent"] for row in expired])
        return waiting


def _end_lease(connection: Connection, row: dict[str, Any]) -> None:
    changes: dict[str, Any] = {"fence": row["fence"] + 1, "lease_until": None}
    if row["cancel_requested"]:
        state = JobState.CANCELLED
    elif row["attempt"] >= row["max_attempts"]:
        state = JobState.FAILED
        changes["error"] = attempts_used_up(row["attempt"], "its worker stopped answering")
    else:
        state = JobState.QUEUED
        changes["dispatched_at"] = None
    if state.finished:
        changes["finished_at"] = now()
    # where readers do not wait for writers, the owner may have finished or beaten since the row was read
    mine = update(jobs).where(jobs.c.id == row["id"], jobs.c.fence == row["fence"], _expired())
    if connection.execute(mine.values(state=state.value, **changes)).rowcount:
        record_state(connection, row["id"], state, why="the lease expired")


def attempts_used_up(attempts: int, why: str) -> dict[str, Any]:
    """The error of a job that was tried as often as allowed."""
    return {
        "type": "about:blank",
        "title": "The job was given up",
        "detail": f"{attempts} attempts ended without a result; the last one because {why}",
        "reason": "ATTEMPTS_USED_UP",
    }


def _expired() -> ColumnElement[bool]:
    return and_(jobs.c.state == JobState.RUNNING.value, jobs.c.lease_until < now())


def _write(connection: Connection, claim: Claim, **columns: object) -> None:
    mine = and_(jobs.c.id == claim.job_id, jobs.c.fence == claim.fence, jobs.c.state == JobState.RUNNING.value)
    # a write without columns still checks the fence
    values = columns or {"fence": claim.fence}
    if connection.execute(update(jobs).where(mine).values(**values)).rowcount == 0:
        msg = f"job {claim.job_id}: fence {claim.fence} is no longer the owner's"
        raise LeaseLostError(msg)


def _upsert_points(connection: Connection, job_id: str, points: tuple[tuple[str, int, float], ...]) -> None:
    """Insert points; steps that a resumed run passes again are the same numbers, so the later write stands."""
    names = {name for name, _, _ in points}
    first = min(step for _, step, _ in points)
    replaced = and_(job_metrics.c.job_id == job_id, job_metrics.c.name.in_(names), job_metrics.c.step >= first)
    connection.execute(job_metrics.delete().where(replaced))
    connection.execute(
        insert(job_metrics), [{"job_id": job_id, "name": n, "step": s, "value": v} for n, s, v in points]
    )


def _seconds(connection: Connection) -> float:
    return float(connection.execute(select(now())).scalar_one())
