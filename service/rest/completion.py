"""Routes that know of masks: completions of partly known configurations, and log-likelihoods."""

import time
from typing import Any

from fastapi import Request, Response

from models_registry.versions import VersionRecord
from service.rest.bodies import NPY, NPZ
from service.rest.dependencies import ContextOf, SecondsAllowed, while_connected
from service.rest.encoding import arrays_response, negotiate, npy_response, one_array_only, timing
from service.rest.masked_bodies import Asked, CompletionByQuery, LikelihoodByQuery, read_masked, required_mask
from service.rest.openapi import also_as, json_body, problems
from service.rest.routing import make_router
from service.use_cases.complete import Completions, PartlyKnown, complete
from service.use_cases.evaluate_log_likelihood import Evaluation, LogLikelihoods, evaluate_log_likelihood
from service.use_cases.resolve import Condition
from zoo.specs.requests import CompletionOptions, CompletionRequest, LogLikelihoodOptions, LogLikelihoodRequest

router = make_router("/v1/models", "inference")

_LIKELIHOOD = json_body(LogLikelihoodRequest, NPY, NPZ)
_COMPLETION = json_body(CompletionRequest, NPZ)
_ANSWERS = also_as(NPY) | problems(400, 404, 406, 409, 413, 415, 422, 503, 504)


@router.post("/{model:segment}:logLikelihood", openapi_extra=_LIKELIHOOD, responses=_ANSWERS)
@router.post("/{model:segment}/versions/{ref:segment}:logLikelihood", openapi_extra=_LIKELIHOOD, responses=_ANSWERS)
async def log_likelihood(
    model: str,
    request: Request,
    context: ContextOf,
    seconds: SecondsAllowed,
    asked: LikelihoodByQuery,
    ref: str | None = None,
) -> Response:
    """Ln q of given configurations, in nats.

    With a `mask`, true where a site is known: ln q of the known part, summed over all values of the rest; exact where
    the known sites come before the others in the model's order, else an estimate by importance sampling, with an error.
    Without a class, of a model conditioned on one: ln of the sum over classes y of p(y) q(x|y), and p(y|x) with
    `include: ["label_posterior"]`.
    """
    started = time.perf_counter()
    media_type = negotiate(request)
    wanted = Asked(LogLikelihoodRequest, LogLikelihoodOptions, asked, (NPY, NPZ))
    body = await read_masked(request, context.settings, wanted)
    if media_type == NPY and body.options.include:
        raise one_array_only(["log_likelihood", *body.options.include])
    evaluation = Evaluation(body.samples, body.options.asked, body.mask, body.options)
    answer = await while_connected(request, evaluate_log_likelihood(context, model, ref, evaluation, seconds))
    seed = None if answer.marginal is None else answer.marginal.seed
    headers = _headers(answer.record, seed, time.perf_counter() - started, answer.compute_seconds)
    if media_type == NPY:
        return npy_response(answer.log_likelihood, headers)
    return await arrays_response(_likelihood_body(answer), headers)


@router.post("/{model:segment}:complete", openapi_extra=_COMPLETION, responses=_ANSWERS)
@router.post("/{model:segment}/versions/{ref:segment}:complete", openapi_extra=_COMPLETION, responses=_ANSWERS)
async def completion(
    model: str,
    request: Request,
    context: ContextOf,
    seconds: SecondsAllowed,
    asked: CompletionByQuery,
    ref: str | None = None,
) -> Response:
    """Draws of the missing part of configurations given the known one, where `mask` is true.

    `samples` has shape (m, n, *event_shape).  `exact` where the known sites of every configuration come before the
    others in the model's order.  Else `proposals` are drawn for each configuration and resampled by their importance
    weights, and `diagnostics` says how many of them were effective.  `log_marginal` is ln q of the known part, with its
    `standard_error`.  With a npz body the other fields travel in the query string.
    """
    started = time.perf_counter()
    media_type = negotiate(request)
    wanted = Asked(CompletionRequest, CompletionOptions, asked, (NPZ,))
    body = await read_masked(request, context.settings, wanted)
    known = PartlyKnown(body.samples, required_mask(body))
    found = await while_connected(request, complete(context, model, ref, known, body.options, seconds))
    headers = _headers(found.record, found.seed, time.perf_counter() - started, found.compute_seconds)
    if media_type == NPY:
        reliable = str(found.diagnostics["reliable"]).lower()
        return npy_response(found.samples, headers | {"X-Exact": str(found.exact).lower(), "X-Reliable": reliable})
    return await arrays_response(_completion_body(found), headers)


def _completion_body(found: Completions) -> dict[str, Any]:
    return {
        "samples": found.samples,
        "exact": found.exact,
        "log_marginal": found.log_marginal,
        "standard_error": found.standard_error,
        "seed": found.seed,
        "model": found.record.model,
        "version": found.record.version,
        "diagnostics": found.diagnostics,
    } | _at(found.condition)


def _likelihood_body(answer: LogLikelihoods) -> dict[str, Any]:
    body: dict[str, Any] = {
        "log_likelihood": answer.log_likelihood,
        "kind": answer.kind,
        "model": answer.record.model,
        "version": answer.record.version,
    }
    if answer.label_posterior is not None:
        body["label_posterior"] = answer.label_posterior
    if answer.marginal is not None and answer.kind == "estimate":
        body |= {"standard_error": answer.marginal.standard_error, "seed": answer.marginal.seed}
    warnings = list(answer.condition.warnings)
    body["diagnostics"] = {"warnings": warnings} if answer.marginal is None else answer.marginal.diagnostics
    return body | _at(answer.condition)


def _at(condition: Condition) -> dict[str, Any]:
    """The conditions at which a model answered, where it has some."""
    return {"condition": condition.values} if condition.values else {}


def _headers(record: VersionRecord, seed: int | None, total: float, compute: float) -> dict[str, str]:
    headers = {
        "X-Model-Version": str(record.version),
        "X-Model-Digest": record.digest,
        "Server-Timing": timing(queue=max(0.0, total - compute), compute=compute),
    }
    return headers if seed is None else headers | {"X-Seed": str(seed)}
