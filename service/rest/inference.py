"""Routes of inference: samples, log-likelihoods, free energies.  Each exists with and without a version."""

import time
from functools import partial
from typing import Any

from fastapi import Request, Response

from models_registry.versions import VersionRecord
from service.rest.bodies import NPY, read_as
from service.rest.dependencies import ContextOf, SecondsAllowed, while_connected
from service.rest.encoding import arrays_response, json_response, negotiate, npy_response, one_array_only, timing
from service.rest.openapi import json_body
from service.rest.routing import make_router
from service.use_cases.draw_samples import Samples, draw_samples
from service.use_cases.estimate_free_energy import FreeEnergyResult, final_free_energy
from service.use_cases.resolve import Condition
from service.use_cases.specs import parse
from zoo.specs.estimate import Estimate
from zoo.specs.requests import FreeEnergyRequest, SampleRequest

router = make_router("/v1/models", "inference")


@router.post("/{model:segment}:sample", openapi_extra=json_body(SampleRequest))
@router.post("/{model:segment}/versions/{ref:segment}:sample", openapi_extra=json_body(SampleRequest))
async def sample(
    model: str, request: Request, context: ContextOf, seconds: SecondsAllowed, ref: str | None = None
) -> Response:
    """Independent samples; the same version and seed give the same bits."""
    started = time.perf_counter()
    media_type = negotiate(request)
    asked = await read_as(request, context.settings, partial(parse, SampleRequest))
    if media_type == NPY and asked.include:
        raise one_array_only(["samples", *asked.include])
    drawn = await while_connected(request, draw_samples(context, model, ref, asked, seconds))
    headers = _headers(drawn.record, drawn.seed, time.perf_counter() - started, drawn.compute_seconds)
    if media_type == NPY:
        return npy_response(drawn.arrays["samples"], headers)
    return await arrays_response(_samples_body(drawn), headers)


@router.post("/{model:segment}:freeEnergy", openapi_extra=json_body(FreeEnergyRequest, required=False))
@router.post(
    "/{model:segment}/versions/{ref:segment}:freeEnergy", openapi_extra=json_body(FreeEnergyRequest, required=False)
)
async def free_energy(
    model: str, request: Request, context: ContextOf, seconds: SecondsAllowed, ref: str | None = None
) -> Response:
    """beta_f = -ln Z with its error, an upper bound, and the exact value beside it where one is known."""
    started = time.perf_counter()
    asked = await read_as(request, context.settings, partial(parse, FreeEnergyRequest), default={})
    result = await while_connected(request, final_free_energy(context, model, ref, asked, seconds))
    headers = _headers(result.record, result.seed, time.perf_counter() - started, result.compute_seconds)
    return json_response(free_energy_body(result), headers=headers)


def _samples_body(drawn: Samples) -> dict[str, Any]:
    return {
        **drawn.arrays,
        "seed": drawn.seed,
        "model": drawn.record.model,
        "version": drawn.record.version,
        "diagnostics": {
            "num_samples": len(drawn.arrays["samples"]),
            "independent": True,
            "warnings": list(drawn.condition.warnings),
        },
    } | _at(drawn.condition)


def free_energy_body(result: FreeEnergyResult) -> dict[str, Any]:
    """The result as the API shows it."""
    estimate = result.estimate
    body = {
        "beta_f": estimate.value,
        "standard_error": estimate.standard_error,
        "beta_f_per_site": estimate.value / result.num_sites,
        "f": estimate.value / result.beta,
        "method": estimate.method,
        "diagnostics": {
            "num_samples": estimate.num_samples,
            "effective_sample_size": estimate.effective_sample_size,
            "effective_sample_fraction": estimate.effective_sample_fraction,
            "pareto_k": estimate.pareto_k,
            "reliable": estimate.reliable,
            "warnings": list(estimate.warnings),
            "why": result.why,
        },
        "model": result.record.model,
        "version": result.record.version,
        "seed": result.seed,
    }
    if result.upper_bound is not None:
        body["upper_bound"] = _bound(result.upper_bound)
    if result.exact is not None:
        exact = result.exact
        body["exact"] = {"beta_f": exact.beta_f, "method": exact.method, "citation": exact.citation}
    return body | _at(result.condition)


def _at(condition: Condition) -> dict[str, Any]:
    """The conditions at which a model answered, where it has some."""
    return {"condition": condition.values} if condition.values else {}


def _bound(estimate: Estimate) -> dict[str, Any]:
    return {"beta_f": estimate.value, "standard_error": estimate.standard_error}


def _headers(record: VersionRecord, seed: int | None, total: float, compute: float) -> dict[str, str]:
    headers = {
        "X-Model-Version": str(record.version),
        "X-Model-Digest": record.digest,
        "Server-Timing": timing(queue=max(0.0, total - compute), compute=compute),
    }
    return headers if seed is None else headers | {"X-Seed": str(seed)}
