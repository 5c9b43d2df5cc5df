"""Evaluate ln q of given configurations, or of the known part of them, or of all classes together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models_registry.versions import VersionRecord
from service.context import Context
from service.limits import check_samples
from service.use_cases.complete import Completions, MarginalWish, PartlyKnown, marginal_log_likelihood
from service.use_cases.draw_samples import compute_seconds, joined
from service.use_cases.off_the_loop import off_the_loop
from service.use_cases.resolve import (
    Condition,
    capabilities_of,
    condition_on_of,
    resolve_condition,
    resolve_version,
    space_of,
)
from zoo.specs.arrays import Array, as_model_inputs
from zoo.specs.errors import CapabilityMissingError, FieldError, InvalidValueError
from zoo.specs.masks import Mask
from zoo.specs.requests import LogLikelihoodOptions

_NO_OPTIONS = LogLikelihoodOptions()


@dataclass(frozen=True)
class Evaluation:
    """Configurations, shape (n, *event_shape), with values of conditions, and a mask, True where a site is known."""

    samples: Array
    condition: Mapping[str, float] = field(default_factory=dict)
    mask: Mask | None = None
    options: LogLikelihoodOptions = _NO_OPTIONS


@dataclass(frozen=True)
class LogLikelihoods:
    """ln q for each configuration, float64, and whether it is exact, a lower bound or an estimate.

    ``label_posterior`` p(y|x), shape (n, classes), where it was included; ``marginal`` where a mask was given, and what
    an estimate rests on.
    """

    record: VersionRecord
    condition: Condition
    log_likelihood: NDArray[np.generic]
    kind: str
    compute_seconds: float
    label_posterior: NDArray[np.generic] | None = None
    marginal: Completions | None = None


async def evaluate_log_likelihood(
    context: Context, model: str, ref: str | None, asked: Evaluation, seconds: float
) -> LogLikelihoods:
    """Ln q of configurations, or of what is known of them.

    Raises:
        NotFoundError: no such version.
        CapabilityMissingError: the family has no likelihood, or of a part none; or no classes.
        InvalidValueError: a wrong shape, a value outside the space or a mask that does not fit, naming the first
            offender; or a condition without a value.
    """
    record = await resolve_version(context, model, ref)
    kind = capabilities_of(record).log_likelihood
    if kind == "none":
        msg = f"family {record.model_spec['family']!r} has no likelihood; it can be asked for its free energy"
        raise CapabilityMissingError(msg)
    _check_posterior(record, asked)
    if asked.mask is not None:
        known = PartlyKnown(asked.samples, asked.mask)
        wish = MarginalWish(asked.condition, asked.options.proposals, asked.options.seed)
        return _of_known_part(await marginal_log_likelihood(context, record, known, wish, seconds))
    return await _of_configurations(context, record, asked, kind, seconds)


async def _of_configurations(
    context: Context, record: VersionRecord, asked: Evaluation, kind: str, seconds: float
) -> LogLikelihoods:
    over_classes = condition_on_of(record).label is not None and "label" not in asked.condition
    condition = Condition() if over_classes else resolve_condition(record, asked.condition)
    operation = "class_log_likelihood" if over_classes else "log_likelihood"
    how = {"class_probabilities": _class_probabilities(record)} if over_classes else {"condition": condition.values}
    space = space_of(record)
    configurations = await off_the_loop(asked.samples.nbytes, as_model_inputs, asked.samples, space)
    check_samples(len(configurations), space, context.settings)
    payload = {"model": record.model, "version": record.version, "samples": configurations} | how
    parts = [part async for part in context.engine.ask(operation, payload, seconds)]
    arrays = joined(parts)
    posterior = arrays.get("label_posterior") if asked.options.include else None
    return LogLikelihoods(record, condition, arrays["log_likelihood"], kind, compute_seconds(parts), posterior)


def _of_known_part(found: Completions) -> LogLikelihoods:
    kind = "exact" if found.exact else "estimate"
    return LogLikelihoods(
        found.record, found.condition, found.log_marginal, kind, found.compute_seconds, marginal=found
    )


def _check_posterior(record: VersionRecord, asked: Evaluation) -> None:
    """Nothing, unless a label's posterior was asked where there is none."""
    if "label_posterior" not in asked.options.include:
        return
    if condition_on_of(record).label is None:
        msg = f"label_posterior: version {record.version} of {record.model!r} is not conditioned on a class"
        raise CapabilityMissingError(msg)
    if "label" in asked.condition or asked.mask is not None:
        came = "a label" if asked.mask is None else "a mask"
        msg = (
            f"label_posterior is p(y|x) of all classes for whole configurations, and {came} came; leave one of them out"
        )
        raise InvalidValueError(f"include: {msg}", errors=(FieldError("include", msg),))


def _class_probabilities(record: VersionRecord) -> list[float]:
    """p(y): how often each class was in the training data.

    Raises:
        CapabilityMissingError: the version does not say.
    """
    counts = record.metrics.get("label_counts")
    if not isinstance(counts, list) or not sum(counts) > 0:
        msg = (
            f"version {record.version} of {record.model!r} does not say how often each class was in its training data "
            '(metric label_counts); ask with a condition, as {"label": 0}'
        )
        raise CapabilityMissingError(msg)
    total = sum(counts)
    return [count / total for count in counts]
