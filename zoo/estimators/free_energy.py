"""Free energies from log-weights: the variational bound and the importance-weighted estimate.

With log w = -beta E(x) - log q(x) and x drawn from q:

    <w>_q = Z, so beta_f = -ln Z = -ln <w>        (importance weighting)
    -<log w>_q = beta_f + KL(q || p) >= beta_f    (variational; Gibbs, Bogoliubov, Feynman)

Neither sees a mode of p that q never visits: both are then too large, and nothing in the weights shows it.
"""

from math import log, sqrt

import numpy as np
from jaxtyping import Float64
from scipy.special import logsumexp

from zoo.estimators.weights import Vector, as_log_weights, doubts_of_weights, effective_sample_size, pareto_k, too_few
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import Estimate

_NEGLIGIBLE = 700.0  # exp(-700) of the largest weight is nothing, however large its logarithm's rounding


def variational_beta_f(log_weights: Vector) -> Estimate:
    """The variational free energy -<log w> in nats, on average an upper bound on beta_f.

    standard_error = std(log w) / sqrt(n); the gap to beta_f is KL(q || p).  Unreliable with fewer than 100 samples.

    Raises:
        NumericalError: NaN or +inf among the log-weights, or -inf, for which the bound is infinite.
    """
    lw = as_log_weights(log_weights)
    zeros = int(np.isneginf(lw).sum())
    if zeros:
        msg = f"{zeros} of {len(lw)} samples have zero target probability, so the variational bound is infinite"
        raise NumericalError(msg)
    doubts = too_few(len(lw))
    return Estimate(
        value=float(-lw.mean()),
        standard_error=_not_below_rounding(lw.std(ddof=1) / sqrt(len(lw)), lw) if len(lw) > 1 else None,
        num_samples=len(lw),
        method="variational",
        reliable=not doubts,
        warnings=doubts + _remarks(lw),
    )


def importance_beta_f(log_weights: Vector) -> Estimate:
    """The importance-weighted beta_f = -ln(sum_i w_i / n) in nats.

    By the delta method, to first order in 1 / n,

        standard_error = std(w) / (<w> sqrt(n)) = sqrt((n / ESS - 1) / (n - 1)),      ESS = (sum w)^2 / sum w^2.

    To the same order the estimate is too large by standard_error^2 / 2 (Jensen), at most a twentieth of the error bar
    when ESS >= 100, and is not corrected.  Unreliable with fewer than 100 samples, ESS below 100, or Pareto k above
    0.7: then the variance of the weights was underestimated, or does not exist.

    Raises:
        NumericalError: NaN or +inf among the log-weights, or all of them -inf.
    """
    lw = as_log_weights(log_weights)
    n, ess, k = len(lw), effective_sample_size(lw), pareto_k(lw)
    doubts = doubts_of_weights(n, ess, k)
    relative = np.exp(lw - logsumexp(lw) + log(n))  # w / <w>
    return Estimate(
        value=float(log(n) - logsumexp(lw)),
        standard_error=_not_below_rounding(relative.std(ddof=1) / sqrt(n), lw) if n > 1 else None,
        num_samples=n,
        method="importance",
        effective_sample_size=ess,
        pareto_k=k,
        reliable=not doubts,
        warnings=doubts + _remarks(lw),
    )


def _not_below_rounding(standard_error: float, log_weights: Float64[np.ndarray, " sample"]) -> float:
    """``standard_error``, but not less than the spacing of floats at the log-weights that count, or at 1."""
    counting = log_weights[log_weights > log_weights.max() - _NEGLIGIBLE]
    return max(float(standard_error), float(np.spacing(np.abs(counting).max(initial=1.0))))


def _remarks(log_weights: Float64[np.ndarray, " sample"]) -> tuple[str, ...]:
    """What a reader should know of estimates that are nevertheless reliable."""
    if len(log_weights) > 1 and np.ptp(log_weights) <= 4 * np.spacing(np.abs(log_weights).max()):
        return (
            "all weights are equal: either the model is exact, or every sample is the same configuration; "
            "the weights cannot tell which",
        )
    return ()
