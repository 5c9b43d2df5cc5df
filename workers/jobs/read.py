"""Reading jobs: one, a page of them, their metrics and their logs."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from workers.jobs.states import JobState
from workers.jobs.table import job_logs, job_metrics, jobs
from zoo.specs.errors import InvalidValueError, NotFoundError


@dataclass(frozen=True)
class Job:
    """A job as it stands in its row; times are seconds since 1970."""

    id: str
    kind: str
    state: str
    spec: dict[str, Any]
    caller: str
    progress: dict[str, Any]
    metrics: dict[str, Any]
    attempt: int
    max_attempts: int
    cancel_requested: bool
    created_at: float
    started_at: float | None
    finished_at: float | None
    retry_of: str | None
    parent: str | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


def job_from_row(row: dict[str, Any]) -> Job:
    """The job in a row of the table."""
    return Job(**{name: row[name] for name in Job.__dataclass_fields__})


def find_job(connection: Connection, job_id: str) -> Job:
    """The job with this id.

    Raises:
        NotFoundError: there is none.
    """
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one_or_none()
    if row is None:
        msg = f"job {job_id!r} does not exist; GET /v1/jobs lists the jobs that do"
        raise NotFoundError(msg, reason="JOB_NOT_FOUND")
    return job_from_row(dict(row))


def list_jobs(
    connection: Connection,
    *,
    state: JobState | None,
    kind: str | None,
    page_size: int,
    page_token: str | None,
    parent: str | None = None,
) -> tuple[list[Job], str | None]:
    """A page of jobs, newest first, and the token of the next page.

    Raises:
        InvalidValueError: a page token that was not given out by this list.
    """
    query = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(page_size + 1)
    if state is not None:
        query = query.where(jobs.c.state == state.value)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    if parent is not None:
        query = query.where(jobs.c.parent == parent)
    if page_token is not None:
        created_at, job_id = _decode_token(page_token)
        older = and_(jobs.c.created_at == created_at, jobs.c.id < job_id)
        query = query.where(or_(jobs.c.created_at < created_at, older))
    page = [job_from_row(dict(row)) for row in connection.execute(query).mappings()]
    if len(page) <= page_size:
        return page, None
    return page[:page_size], _encode_token(page[page_size - 1])


def metric_series(connection: Connection, job_id: str, name: str) -> list[tuple[int, float]]:
    """The series (step, value) of one metric so far.

    Raises:
        NotFoundError: the job has no metric of this name; the message lists the ones it has.
    """
    find_job(connection, job_id)
    query = select(job_metrics.c.step, job_metrics.c.value).where(
        job_metrics.c.job_id == job_id, job_metrics.c.name == name
    )
    points = [(step, value) for step, value in connection.execute(query.order_by(job_metrics.c.step))]
    if not points:
        known = metric_names(connection, job_id)
        if known:
            msg = f"job {job_id} has no metric {name!r}; it has {', '.join(known)}"
            raise NotFoundError(msg, reason="METRIC_NOT_FOUND")
    return points


def metric_names(connection: Connection, job_id: str) -> list[str]:
    """The names of the metrics that a job has recorded."""
    query = select(job_metrics.c.name).where(job_metrics.c.job_id == job_id).distinct().order_by(job_metrics.c.name)
    return list(connection.execute(query).scalars())


def log_lines(connection: Connection, job_id: str, after_id: int, limit: int) -> list[dict[str, Any]]:
    """Log lines of a job after a line id, oldest first: ``id``, ``at``, ``line``."""
    find_job(connection, job_id)
    query = (
        select(job_logs.c.id, job_logs.c.at, job_logs.c.line)
        .where(job_logs.c.job_id == job_id, job_logs.c.id > after_id)
        .order_by(job_logs.c.id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _encode_token(job: Job) -> str:
    return base64.urlsafe_b64encode(f"{job.created_at!r} {job.id}".encode()).decode()


def _decode_token(token: str) -> tuple[float, str]:
    try:
        created_at, job_id = base64.urlsafe_b64decode(token.encode()).decode().split(" ")
        return float(created_at), job_id
    except (ValueError, binascii.Error, UnicodeError):
        msg = (
            f"page_token {token!r} is not one that this list gave out; pass next_page_token unchanged, or leave it out"
        )
        raise InvalidValueError(msg, reason="INVALID_PAGE_TOKEN") from None
