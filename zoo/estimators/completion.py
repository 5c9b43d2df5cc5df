"""The missing part of a partly known configuration, from weighted proposals of one and the same known part.

With x_1 .. x_P drawn from a proposal r(missing | known), and w = q(x) / r(missing | known),

    <w>_r = q(known),      x_j taken with probability w_j / sum w   ->   q(missing | known)   as P grows

(sampling importance resampling: Smith and Gelfand, Am. Stat. 46, 84 (1992)).  Both are only as good as the effective
number of proposals, (sum w)^2 / sum w^2, which is never quoted without P.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import logsumexp

from zoo.estimators.weights import Vector, as_log_weights, as_vector, effective_sample_size, normalized_weights
from zoo.specs.errors import NumericalError

MIN_EFFECTIVE_FRACTION = 0.1
"""Below this fraction of the proposals, the completions are those of a few of them."""

MIN_EFFECTIVE_PROPOSALS = 50
"""With fewer effective proposals neither the completions nor the error of the marginal are to be trusted."""


@dataclass(frozen=True)
class Marginal:
    """ln q(known) in nats with one standard deviation, None for a single proposal; and what it rests on."""

    log_marginal: float
    standard_error: float | None
    effective_sample_size: float


def marginal(log_weights: Vector) -> Marginal:
    """Ln q(known) = ln of the mean weight of ``log_weights``, shape (num_proposals,).

    By the delta method standard_error = sqrt((P / ESS - 1) / (P - 1)); the estimate is too small by half its square, to
    first order.

    Raises:
        NumericalError: NaN or +inf among the log-weights, or every weight zero: the known part has no probability.
    """
    lw = as_vector(log_weights, "log_weights")
    if np.isneginf(lw).all():
        msg = f"all {len(lw)} proposals have zero weight: the model gives the known part no probability"
        raise NumericalError(msg)
    lw = as_log_weights(lw)
    count, effective = len(lw), effective_sample_size(lw)
    error = sqrt(max(0.0, count / effective - 1) / (count - 1)) if count > 1 else None
    return Marginal(float(logsumexp(lw)) - log(count), error, effective)


def resampled(log_weights: Vector, uniforms: Float64[np.ndarray, " sample"]) -> Int64[np.ndarray, " sample"]:
    """For each of ``uniforms`` in [0, 1) the index of a proposal: j where the cumulative weight first exceeds it.

    Independent uniforms give independent draws, so one proposal may be taken more than once.

    Raises:
        NumericalError: NaN or +inf among the log-weights, or every weight zero.
    """
    cumulative = np.cumsum(normalized_weights(log_weights))
    indices = np.searchsorted(cumulative, np.asarray(uniforms) * cumulative[-1], side="right")
    return np.asarray(np.minimum(indices, len(cumulative) - 1), dtype=np.int64)


def doubts_of_completions(effective_sample_sizes: Sequence[float], num_proposals: int) -> tuple[str, ...]:
    """Why completions with these effective numbers of proposals, one a configuration, are not to be trusted."""
    least = max(MIN_EFFECTIVE_FRACTION * num_proposals, MIN_EFFECTIVE_PROPOSALS)
    poor = [k for k, effective in enumerate(effective_sample_sizes) if not effective >= least]
    if not poor:
        return ()
    worst = min(poor, key=lambda k: effective_sample_sizes[k])
    return (
        f"the effective number of proposals is below {least:g} for {len(poor)} of {len(effective_sample_sizes)} "
        f"configurations, the lowest {effective_sample_sizes[worst]:.1f} of {num_proposals} for configuration {worst}: "
        "their completions are few different ones, and rare ones are missing; take more proposals, or know the sites "
        "that come first in the model's order",
    )
