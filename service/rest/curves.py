"""Route of free-energy curves: beta_f, energy and heat capacity at many inverse temperatures from one model."""

import time
from functools import partial
from typing import Any

from fastapi import Request, Response

from service.rest.bodies import read_as
from service.rest.dependencies import ContextOf, SecondsAllowed, while_connected
from service.rest.encoding import json_response, timing
from service.rest.openapi import json_body
from service.rest.query import ONLY_KNOWN
from service.rest.routing import make_router
from service.use_cases.estimate_curve import CurvePoint, FreeEnergyCurve, estimate_curve, exact_observables
from service.use_cases.specs import parse
from zoo.specs.estimate import Estimate
from zoo.specs.requests import FreeEnergyCurveRequest

router = make_router("/v1/models", "inference")

_BODY = json_body(FreeEnergyCurveRequest)


@router.post("/{model:segment}:freeEnergyCurve", openapi_extra=_BODY, dependencies=[ONLY_KNOWN])
@router.post("/{model:segment}/versions/{ref:segment}:freeEnergyCurve", openapi_extra=_BODY, dependencies=[ONLY_KNOWN])
async def free_energy_curve(
    model: str, request: Request, context: ContextOf, seconds: SecondsAllowed, ref: str | None = None
) -> Response:
    """beta_f, energy and heat capacity with errors at several beta, from one model conditioned on beta; all stored.

    The point at place k of the list draws from a stream of its own, number k of the seed's.
    """
    started = time.perf_counter()
    asked = await read_as(request, context.settings, partial(parse, FreeEnergyCurveRequest))
    curve = await while_connected(request, estimate_curve(context, model, ref, asked, seconds))
    queue = max(0.0, time.perf_counter() - started - curve.compute_seconds)
    headers = {
        "X-Model-Version": str(curve.record.version),
        "X-Model-Digest": curve.record.digest,
        "Server-Timing": timing(queue=queue, compute=curve.compute_seconds),
        "X-Seed": str(curve.seed),
    }
    return json_response(curve_body(curve), headers=headers)


def curve_body(curve: FreeEnergyCurve) -> dict[str, Any]:
    """The curve as the API shows it: extensive numbers, and each of them for a site."""
    return {
        "points": [_point(point, curve.num_sites) for point in curve.points],
        "num_sites": curve.num_sites,
        "model": curve.record.model,
        "version": curve.record.version,
        "seed": curve.seed,
    }


def _point(point: CurvePoint, num_sites: int) -> dict[str, Any]:
    estimate = point.beta_f
    body = {
        "beta": point.beta,
        "condition": point.condition.values,
        "beta_f": estimate.value,
        "standard_error": estimate.standard_error,
        "upper_bound": {"beta_f": point.upper_bound.value, "standard_error": point.upper_bound.standard_error},
        "energy": _with_error(point.energy),
        "heat_capacity": _with_error(point.heat_capacity),
        "per_site": {
            "beta_f": estimate.value / num_sites,
            "energy": point.energy.value / num_sites,
            "heat_capacity": point.heat_capacity.value / num_sites,
        },
        "method": estimate.method,
        "diagnostics": {
            "num_samples": estimate.num_samples,
            "effective_sample_size": estimate.effective_sample_size,
            "effective_sample_fraction": estimate.effective_sample_fraction,
            "pareto_k": estimate.pareto_k,
            "reliable": estimate.reliable,
            "warnings": list(estimate.warnings),
        },
    }
    if point.exact is not None:
        exact = {"beta_f": point.exact.beta_f, "method": point.exact.method, "citation": point.exact.citation}
        body["exact"] = exact | exact_observables(point, num_sites)
    return body


def _with_error(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "standard_error": estimate.standard_error}
