"""Retry a job: a new job with the same spec that says which one it repeats."""

from anyio.to_thread import run_sync

from service.context import Context
from service.use_cases.read_job import read_job
from service.use_cases.specs import parse_job
from service.use_cases.submit_job import submit_spec
from workers.jobs.read import Job
from workers.jobs.states import JobState
from zoo.specs.errors import StateConflictError


async def retry_job(context: Context, job_id: str, caller: str, idempotency_key: str | None) -> Job:
    """A new job with ``retry_of``; that of a sweep trains all its children anew, that of a child is a job by itself.

    Raises:
        NotFoundError: no such job.
        StateConflictError: the job has not ended, or has succeeded.
    """
    job = await read_job(context, job_id)
    if job.state not in {JobState.FAILED, JobState.CANCELLED}:
        msg = f"job {job_id} is {job.state}; only failed and cancelled jobs can be retried"
        raise StateConflictError(msg, reason="JOB_NOT_RETRYABLE")

    def submitted() -> Job:
        retried, _ = submit_spec(context, parse_job(job.spec), caller, idempotency_key, retry_of=job.id)
        return retried

    return await run_sync(submitted)
