"""Evaluate ln q of given configurations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_registry.versions import VersionRecord
from service.context import Context
from service.limits import check_samples
from service.use_cases.draw_samples import compute_seconds, joined
from service.use_cases.off_the_loop import off_the_loop
from service.use_cases.resolve import capabilities_of, resolve_version, space_of
from zoo.specs.arrays import as_configurations
from zoo.specs.errors import CapabilityMissingError


@dataclass(frozen=True)
class LogLikelihoods:
    """ln q for each configuration, float64, and whether it is exact, a lower bound or an estimate."""

    record: VersionRecord
    log_likelihood: NDArray[np.generic]
    kind: str
    compute_seconds: float


async def evaluate_log_likelihood(
    context: Context, model: str, ref: str | None, samples: NDArray[np.generic], seconds: float
) -> LogLikelihoods:
    """Ln q of ``samples``, shape (n, *event_shape).

    Raises:
        NotFoundError: no such version.
        CapabilityMissingError: the family has no likelihood.
        InvalidValueError: a wrong shape or a value outside the space, naming the first offender.
    """
    record = await resolve_version(context, model, ref)
    kind = capabilities_of(record).log_likelihood
    if kind == "none":
        msg = f"family {record.model_spec['family']!r} has no likelihood; it can be asked for samples"
        raise CapabilityMissingError(msg)
    space = space_of(record)
    configurations = await off_the_loop(samples.nbytes, as_configurations, samples, space)
    check_samples(len(configurations), space, context.settings)
    payload = {"model": record.model, "version": record.version, "samples": configurations}
    parts = [part async for part in context.engine.ask("log_likelihood", payload, seconds)]
    return LogLikelihoods(record, joined(parts)["log_likelihood"], kind, compute_seconds(parts))
