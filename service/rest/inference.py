"""Routes of inference: samples, log-likelihoods, free energies.  Each exists with and without a version."""

import time
from functools import partial

from fastapi import Request, Response

from service.rest.answers import ArrayAnswer, about_version, array_response, at, version_headers
from service.rest.bodies import read_as
from service.rest.dependencies import ContextOf, PrefersJob, SecondsAllowed, caller_of, while_connected
from service.rest.encoding import json_response, negotiate, one_array_only, timing
from service.rest.formats.media_types import BINARY, NPY
from service.rest.formats.parted import with_first
from service.rest.free_energy_body import free_energy_body
from service.rest.jobs import IdempotencyKey, accepted, as_json
from service.rest.openapi import Responses, also_as, json_body, problems
from service.rest.query import ONLY_KNOWN
from service.rest.routing import make_router
from service.rest.server_sent import streamed_free_energy, wants_events
from service.use_cases.defer_samples import defer_samples, takes_longer
from service.use_cases.draw_samples import Samples, draw_samples
from service.use_cases.estimate_free_energy import estimate_free_energy, final_free_energy
from service.use_cases.specs import parse
from zoo.specs.requests import FreeEnergyRequest, SampleRequest

router = make_router("/v1/models", "inference")

_DEFERRED: Responses = {202: {"description": "A job of kind sample that draws them into a file"}}
_SAMPLES = _DEFERRED | also_as(*BINARY) | problems(400, 404, 406, 408, 409, 413, 415, 422, 503, 504)
_SAMPLE = json_body(SampleRequest)


@router.post("/{model:segment}:sample", openapi_extra=_SAMPLE, responses=_SAMPLES, dependencies=[ONLY_KNOWN])
@router.post(
    "/{model:segment}/versions/{ref:segment}:sample",
    openapi_extra=_SAMPLE,
    responses=_SAMPLES,
    dependencies=[ONLY_KNOWN],
)
async def sample(
    model: str,
    request: Request,
    context: ContextOf,
    seconds: SecondsAllowed,
    prefers_job: PrefersJob,
    ref: str | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Samples, independent or corrected towards the target; the same version and seed give the same bits.

    With `correction` they come with weights (`importance`), or are states of Markov chains that have the target's
    distribution (`metropolis`, and of flows `latent_hmc`).  `diagnostics` then say how good they are: the effective
    sample size and Pareto k of weights; the acceptance rate, R-hat, and the autocorrelation time in steps (1 for
    independent steps) of chains, the number of chains, and their burn-in.

    With `Prefer: respond-async`, or when drawing them is known to take longer than the client waits, the answer is 202
    with a job of kind `sample`.

    The answer is JSON, npy (the samples alone), npz, safetensors or an Arrow stream, as Accept asks.  Spins are -1/+1
    int8, bits 0/1 uint8, log-probabilities float64.  Where it is not JSON, the other fields are in headers (`X-Seed`,
    `X-Model-Version`, `X-Warnings` and of corrected samples `X-Diagnostics` as JSON, ...), and in the metadata of
    safetensors and of the Arrow schema.
    With `Accept-Encoding: zstd` or `gzip` a large answer is compressed.
    """
    started = time.perf_counter()
    media_type = negotiate(request)
    asked = await read_as(request, context.settings, partial(parse, SampleRequest))
    if prefers_job or await takes_longer(context, model, ref, asked, seconds):
        job = await defer_samples(context, model, ref, asked, caller_of(request), idempotency_key)
        return accepted(as_json(job), {"Preference-Applied": "respond-async"} if prefers_job else {})
    beside = [*asked.include, *(["log_weight"] if asked.correction == "importance" else [])]
    if media_type == NPY and beside:
        raise one_array_only(["samples", *beside])
    drawn = await while_connected(request, draw_samples(context, model, ref, asked, seconds))
    return await array_response(request, media_type, _answer(drawn), started, context.settings)


_FREE_ENERGY = json_body(FreeEnergyRequest, required=False)


@router.post("/{model:segment}:freeEnergy", openapi_extra=_FREE_ENERGY, dependencies=[ONLY_KNOWN])
@router.post(
    "/{model:segment}/versions/{ref:segment}:freeEnergy", openapi_extra=_FREE_ENERGY, dependencies=[ONLY_KNOWN]
)
async def free_energy(
    model: str, request: Request, context: ContextOf, seconds: SecondsAllowed, ref: str | None = None
) -> Response:
    """beta_f = -ln Z with its error, an upper bound, and the exact value beside it where one is known.

    With ``target_standard_error`` samples are drawn until that is reached, or the time is over.  With
    `Accept: text/event-stream` the estimate so far comes as events `progress`, and the answer as `result`.
    """
    started = time.perf_counter()
    asked = await read_as(request, context.settings, partial(parse, FreeEnergyRequest), default={})
    if wants_events(request):
        return await streamed_free_energy(request, estimate_free_energy(context, model, ref, asked, seconds))
    result = await while_connected(request, final_free_energy(context, model, ref, asked, seconds))
    queue = max(0.0, time.perf_counter() - started - result.compute_seconds)
    headers = version_headers(result.record, result.seed)
    headers["Server-Timing"] = timing(queue=queue, compute=result.compute_seconds)
    return json_response(free_energy_body(result), headers=headers)


def _answer(drawn: Samples) -> ArrayAnswer:
    diagnostics = drawn.diagnostics
    about = {name: diagnostics[name] for name in ("num_samples", "independent", "warnings")}
    if "correction" in diagnostics:
        about["diagnostics"] = diagnostics
    fields = {
        "seed": drawn.seed,
        "model": drawn.record.model,
        "version": drawn.record.version,
        "diagnostics": diagnostics,
    }
    return ArrayAnswer(
        arrays=with_first("samples", drawn.parted),
        fields=fields | at(drawn.condition),
        compute_seconds=drawn.compute_seconds,
        about=about_version(drawn.record, drawn.seed, drawn.condition) | about,
        headers=version_headers(drawn.record, drawn.seed),
    )
