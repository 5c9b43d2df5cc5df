"""Cancel a job: at once when it is queued, at its next step when it runs; a sweep, all its children at once."""

from functools import partial

from anyio.to_thread import run_sync

from service.context import Context
from workers.jobs.read import Job
from workers.jobs.submission import request_cancel


async def cancel_job(context: Context, job_id: str) -> tuple[Job, bool]:
    """The job with ``cancel_requested``, and whether this was the first request.

    Raises:
        NotFoundError: no such job.
        StateConflictError: the job has ended.
    """
    return await run_sync(partial(request_cancel, context.database, job_id))
