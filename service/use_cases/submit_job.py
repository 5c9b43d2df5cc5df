"""Submit a job: validated against the specs and the limits, then one row."""

from contextlib import suppress

from anyio.to_thread import run_sync

from service.context import Context
from service.limits import check_job
from service.use_cases.check_stored import Stores, settled
from service.use_cases.expand_sweep import expand_sweep
from service.use_cases.resolve_sample_job import resolved_sample_job
from service.use_cases.specs import parse_job
from workers.jobs.read import Job
from workers.jobs.specs import JobSpec, SampleJobSpec, TrainJobSpec
from workers.jobs.submission import submit
from workers.jobs.sweeps import SweepJobSpec
from workers.wakeup import send_wakeup
from zoo.specs.errors import UnavailableError

_MOST_WAKEUPS = 16  # each one makes a worker's slot take jobs until none is left


async def submit_job(context: Context, data: object, caller: str, idempotency_key: str | None) -> tuple[Job, bool]:
    """The queued job, and whether it is new.

    Raises:
        InvalidValueError: the spec is not allowed, or the idempotency key was used with another body.
        LimitExceededError: the job is larger than this installation allows.
    """

    def submitted() -> tuple[Job, bool]:
        spec = parse_job(data)
        check_job(spec, context.settings)
        return submit_spec(context, spec, caller, idempotency_key)

    return await run_sync(submitted)  # all of it: a spec may hold millions of couplings


def submit_spec(
    context: Context, spec: JobSpec, caller: str, idempotency_key: str | None, retry_of: str | None = None
) -> tuple[Job, bool]:
    """The queued job, committed before its wake-up is sent; a lost wake-up is sent again by the reaper.

    Raises:
        InvalidValueError: the idempotency key was used with another body; or a child of a sweep is not allowed.
        NotFoundError: a dataset or a version that it names does not exist.
        CapabilityMissingError: samples are asked of a version that cannot give them.
        LimitExceededError: a sweep, or a number of samples, is larger than this installation allows.
    """
    stores, asked = Stores(context.datasets, context.versions), spec
    if isinstance(spec, SampleJobSpec):
        spec = resolved_sample_job(spec, context.versions, context.settings)
    if isinstance(spec, TrainJobSpec):
        spec = settled(spec, stores, context.settings)
    children = expand_sweep(spec, context.settings, stores) if isinstance(spec, SweepJobSpec) else ()
    job, new = submit(
        context.database,
        spec,
        caller=caller,
        max_attempts=context.settings.max_attempts,
        idempotency_key=idempotency_key,
        retry_of=retry_of,
        children=children,
        asked=asked,
    )
    if new:
        with suppress(UnavailableError):
            for _ in range(min(max(len(children), 1), _MOST_WAKEUPS)):
                send_wakeup(context.wakeups, job.id)
    return job, new
