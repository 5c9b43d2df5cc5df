"""Routes that know of masks: completions of partly known configurations, and log-likelihoods."""

import time
from typing import Any

from fastapi import Request, Response

from service.rest.answers import ArrayAnswer, about_version, array_response, at, version_headers
from service.rest.dependencies import ContextOf, SecondsAllowed, while_connected
from service.rest.encoding import negotiate, one_array_only
from service.rest.formats.media_types import BINARY, JSON, NAMING, NPY
from service.rest.formats.parted import PartedArray
from service.rest.masked_bodies import Asked, CompletionByQuery, LikelihoodByQuery, read_masked, required_mask
from service.rest.openapi import also_as, json_body, problems
from service.rest.query import ONLY_KNOWN
from service.rest.routing import make_router
from service.use_cases.complete import Completions, PartlyKnown, complete
from service.use_cases.evaluate_log_likelihood import Evaluation, LogLikelihoods, evaluate_log_likelihood
from zoo.specs.requests import CompletionOptions, CompletionRequest, LogLikelihoodOptions, LogLikelihoodRequest

router = make_router("/v1/models", "inference")

_LIKELIHOOD = json_body(LogLikelihoodRequest, *BINARY)
_COMPLETION = json_body(CompletionRequest, *NAMING)
_ANSWERS = also_as(*BINARY) | problems(400, 404, 406, 408, 409, 413, 415, 422, 503, 504)


_CHECKED = [ONLY_KNOWN]


@router.post("/{model:segment}:logLikelihood", openapi_extra=_LIKELIHOOD, responses=_ANSWERS, dependencies=_CHECKED)
@router.post(
    "/{model:segment}/versions/{ref:segment}:logLikelihood",
    openapi_extra=_LIKELIHOOD,
    responses=_ANSWERS,
    dependencies=_CHECKED,
)
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

    The body is JSON, or npy (the samples alone), npz, safetensors or an Arrow stream (one row for each configuration)
    with arrays `samples` and `mask`; beside these the other fields travel in the query string.  Answers exist in the
    same formats, with the fields that are no arrays in headers and metadata.  Bodies may be compressed with zstd or
    gzip.
    """
    started = time.perf_counter()
    media_type = negotiate(request)
    wanted = Asked(LogLikelihoodRequest, LogLikelihoodOptions, asked)
    body = await read_masked(request, context.settings, wanted)
    if media_type == NPY and body.options.include:
        raise one_array_only(["log_likelihood", *body.options.include])
    evaluation = Evaluation(body.samples, body.options.asked, body.mask, body.options)
    answer = await while_connected(request, evaluate_log_likelihood(context, model, ref, evaluation, seconds))
    return await array_response(request, media_type, _likelihood_answer(answer), started, context.settings)


@router.post("/{model:segment}:complete", openapi_extra=_COMPLETION, responses=_ANSWERS, dependencies=_CHECKED)
@router.post(
    "/{model:segment}/versions/{ref:segment}:complete",
    openapi_extra=_COMPLETION,
    responses=_ANSWERS,
    dependencies=_CHECKED,
)
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
    `standard_error`.

    The body is JSON, or npz, safetensors or an Arrow stream with arrays `samples` and `mask`; beside these the other
    fields travel in the query string.  Answers exist in the same formats, and as npy of the samples alone; where they
    are not JSON, the fields that are no arrays are in headers and metadata.
    """
    started = time.perf_counter()
    media_type = negotiate(request)
    wanted = Asked(CompletionRequest, CompletionOptions, asked, NAMING)
    body = await read_masked(request, context.settings, wanted)
    known = PartlyKnown(body.samples, required_mask(body))
    found = await while_connected(request, complete(context, model, ref, known, body.options, seconds))
    answer = _completion_answer(found, media_type)
    return await array_response(request, media_type, answer, started, context.settings)


def _completion_answer(found: Completions, media_type: str) -> ArrayAnswer:
    arrays = {"samples": found.samples, "log_marginal": found.log_marginal, "standard_error": found.standard_error}
    if not found.exact and media_type != JSON:  # JSON has it in the diagnostics
        arrays["effective_sample_size"] = found.effective_sample_size
    fields = {
        "exact": found.exact,
        "seed": found.seed,
        "model": found.record.model,
        "version": found.record.version,
        "diagnostics": found.diagnostics,
    }
    about = about_version(found.record, found.seed, found.condition) | {"exact": found.exact} | found.summary
    return ArrayAnswer(
        arrays={name: PartedArray((array,)) for name, array in arrays.items()},
        fields=fields | at(found.condition),
        compute_seconds=found.compute_seconds,
        about=about,
        headers=version_headers(found.record, found.seed),
    )


def _likelihood_answer(answer: LogLikelihoods) -> ArrayAnswer:
    marginal = answer.marginal
    arrays = {"log_likelihood": answer.log_likelihood}
    fields: dict[str, Any] = {
        "kind": answer.kind,
        "model": answer.record.model,
        "version": answer.record.version,
    }
    if answer.label_posterior is not None:
        arrays["label_posterior"] = answer.label_posterior
    if marginal is not None and answer.kind == "estimate":
        arrays["standard_error"] = marginal.standard_error
        fields["seed"] = marginal.seed
    warnings = {"warnings": list(answer.condition.warnings)}
    fields["diagnostics"] = warnings if marginal is None else marginal.diagnostics
    seed = None if marginal is None else marginal.seed
    summary = warnings if marginal is None else marginal.summary
    return ArrayAnswer(
        arrays={name: PartedArray((array,)) for name, array in arrays.items()},
        fields=fields | at(answer.condition),
        compute_seconds=answer.compute_seconds,
        about=about_version(answer.record, seed, answer.condition) | {"kind": answer.kind} | summary,
        headers=version_headers(answer.record, seed),
    )
