"""Answer a question for samples with a job: they would take too long, or the client does not want to wait."""

from functools import partial

from anyio.to_thread import run_sync

from service.context import Context
from service.limits import check_samples
from service.use_cases.draw_samples import sample_question
from service.use_cases.resolve import resolve_version, space_of
from service.use_cases.specs import parse
from service.use_cases.submit_job import submit_spec
from workers.jobs.read import Job
from workers.jobs.specs import SampleJobSpec
from zoo.specs.requests import SampleRequest


async def defer_samples(
    context: Context, model: str, ref: str | None, asked: SampleRequest, caller: str, idempotency_key: str | None = None
) -> Job:
    """The job that draws what was ``asked``: the same samples in a file.

    It is the job that the same question sent to POST /v1/jobs makes: one key is for one of them.

    Raises:
        NotFoundError: no such version.
        CapabilityMissingError: the version cannot be asked for this.
        InvalidValueError: a condition without a value, or the idempotency key was used with another body.
        LimitExceededError: more numbers than one job may draw.
    """
    spec = parse(SampleJobSpec, asked.model_dump() | {"model": model, "ref": ref})
    job, _ = await run_sync(partial(submit_spec, context, spec, caller, idempotency_key))
    return job


async def takes_longer(context: Context, model: str, ref: str | None, asked: SampleRequest, seconds: float) -> bool:
    """Whether computing what was ``asked`` takes more than ``seconds``, by what earlier answers of the version took.

    Corrected samples may take a thousand times as long as plain ones: there the nominal cost counts before any answer.

    Raises:
        NotFoundError: no such version.
        LimitExceededError: it does, and one answer cannot have so many numbers either; a job has to be asked for.
    """
    known = context.resolved.get((model, ref))  # what it was the last time is near enough
    record = await resolve_version(context, model, ref) if known is None else known[1]
    operation, payload = sample_question(record, asked)
    costs = context.engine.costs
    guessed = operation == "sample" and not costs.knows(operation, payload)
    if guessed or costs.seconds(operation, payload) <= seconds:
        return False
    check_samples(asked.n, space_of(record), context.settings)
    return True
