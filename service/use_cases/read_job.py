"""Read jobs: one, a page, a metric's series, the log."""

from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync

from service.context import Context
from workers.jobs.parents import PARENT_KINDS, list_children
from workers.jobs.read import Job, find_job, list_jobs, log_lines, metric_series
from workers.jobs.states import JobState


@dataclass(frozen=True)
class JobFilter:
    """Which jobs of a list are meant; None means any."""

    state: JobState | None = None
    kind: str | None = None
    parent: str | None = None


async def read_job(context: Context, job_id: str) -> Job:
    """The job as it stands; NotFoundError when there is none."""

    def read() -> Job:
        with context.database.read() as connection:
            return find_job(connection, job_id)

    return await run_sync(read)


async def read_children(context: Context, job: Job) -> list[dict[str, Any]] | None:
    """The children of a parent in their order, ``id``, ``state``, ``values`` and ``model``; None of any other job."""
    if job.kind not in PARENT_KINDS:
        return None

    def read() -> list[dict[str, Any]]:
        with context.database.read() as connection:
            return list_children(connection, job.id)

    return await run_sync(read)


async def read_jobs(
    context: Context, chosen: JobFilter, page_size: int, page_token: str | None
) -> tuple[list[Job], str | None]:
    """A page of jobs, newest first, and the token of the next; NotFoundError when the ``parent`` does not exist."""

    def read() -> tuple[list[Job], str | None]:
        with context.database.read() as connection:
            if chosen.parent is not None:
                find_job(connection, chosen.parent)
            return list_jobs(
                connection,
                state=chosen.state,
                kind=chosen.kind,
                parent=chosen.parent,
                page_size=page_size,
                page_token=page_token,
            )

    return await run_sync(read)


async def read_metric(context: Context, job_id: str, name: str) -> list[tuple[int, float]]:
    """The series (step, value) of a metric so far; NotFoundError names the metrics that exist."""

    def read() -> list[tuple[int, float]]:
        with context.database.read() as connection:
            return metric_series(connection, job_id, name)

    return await run_sync(read)


async def read_log(context: Context, job_id: str, after_id: int, limit: int) -> list[dict[str, Any]]:
    """Lines of the job's log after a line id."""

    def read() -> list[dict[str, Any]]:
        with context.database.read() as connection:
            return log_lines(connection, job_id, after_id, limit)

    return await run_sync(read)
