"""What importance weights say about themselves: their effective number, and how heavy their tail is.

All functions take log-weights log w = -beta E(x) - log q(x), as a numpy array or a tensor of shape (num_samples,), and
compute in float64.  A log-weight of -inf is a sample of zero target probability and is allowed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from arviz_stats.base.array import array_stats
from jaxtyping import Float64
from scipy.special import logsumexp

from zoo.specs.errors import InvalidValueError, NumericalError

_STATISTICS: Any = array_stats  # a library without types

Vector = np.ndarray | torch.Tensor | Sequence[float]

MAX_PARETO_K = 0.7
"""Above this tail index a mean of weights is not to be trusted (Vehtari et al., arXiv:1507.02646)."""

MIN_EFFECTIVE_SAMPLES = 100
"""With fewer effective samples the error bar is itself too uncertain."""

MIN_SAMPLES = 100
"""With fewer samples no error bar is trusted."""

_LOG_WEIGHT_RESOLUTION = 1e-5  # float32 networks give log q no better than this, relative to its size
_MIN_TAIL = 5
_SMALLEST_LOG = -300.0  # relative to the largest; what lies below is equal to zero for every purpose


def as_log_weights(log_weights: Vector) -> Float64[np.ndarray, " sample"]:
    """``log_weights`` as a float64 vector.

    Raises:
        InvalidValueError: not one axis, or no sample.
        NumericalError: NaN or +inf, or every weight zero.
    """
    array = as_vector(log_weights, "log_weights")
    bad = np.isnan(array) | (array == np.inf)
    if bad.any():
        first = int(np.argmax(bad))
        msg = f"{int(bad.sum())} of {len(array)} log-weights are NaN or +inf, the first at index {first}"
        raise NumericalError(msg)
    if np.isneginf(array).all():
        msg = f"all {len(array)} weights are zero: no sample lies where the target has probability"
        raise NumericalError(msg)
    return array


def as_vector(values: Vector, name: str) -> Float64[np.ndarray, " sample"]:
    """``values`` as a float64 vector of at least one element, named ``name`` in messages."""
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != 1 or len(array) == 0:
        msg = f"{name} has shape {array.shape}; one number for each sample was expected, shape (num_samples,)"
        raise InvalidValueError(msg)
    return array.astype(np.float64)


def normalized_weights(log_weights: Vector) -> Float64[np.ndarray, " sample"]:
    """w_i / sum_j w_j."""
    lw = as_log_weights(log_weights)
    return np.asarray(np.exp(lw - logsumexp(lw)))


def effective_sample_size(log_weights: Vector) -> float:
    """(sum w)^2 / sum w^2, between 1 and num_samples."""
    return float(1 / np.sum(normalized_weights(log_weights) ** 2))


def forward_effective_sample_fraction(log_weights: Vector) -> float:
    """1 / (<w>_p <1/w>_p) from log w = -beta E(x) - log q(x) of samples x of the target p, between 0 and 1.

    Where q reaches all of p this is the limit of effective_sample_size / num_samples of samples of q, since
    <w>_p = <w^2>_q / Z and <1/w>_p = 1 / Z.  A mode of p that q never visits is unseen by the latter and makes this one
    vanish, as <w>_p counts how improbable the mode is to q.  A log-weight of +inf is a sample that q cannot draw, and
    the result is 0.

    Raises:
        NumericalError: NaN, or -inf: a sample of p has some probability under p.
    """
    lw = as_vector(log_weights, "log_weights")
    bad = np.isnan(lw) | np.isneginf(lw)
    if bad.any():
        msg = f"{int(bad.sum())} of {len(lw)} log-weights of samples of the target are NaN or -inf"
        raise NumericalError(msg)
    if np.isposinf(lw).any():
        return 0.0
    return float(np.exp(2 * np.log(len(lw)) - logsumexp(lw) - logsumexp(-lw)))


def unseen_fraction(forward_log_weights: Vector, log_weights: Vector) -> float:
    """The fraction of samples of p that weigh more than ten times what the heaviest sample of q weighs.

    Of a model that reaches all of p this is the part of the target's probability beyond the largest of n weights, of
    order 1 / n times the effective sample fraction's inverse; of a mode that q never visits it is the mode's mass.
    """
    heaviest = as_log_weights(log_weights).max()
    return float(np.mean(as_vector(forward_log_weights, "forward_log_weights") > heaviest + np.log(10)))


def pareto_k(log_weights: Vector) -> float | None:
    """The tail index k of the weights' generalised Pareto tail, or None when there is no tail to fit.

    The tail is the 3 sqrt(n) largest weights (n / 5 of fewer than 225), fitted after Zhang and Stephens as in Vehtari
    et al., arXiv:1507.02646; moments of order 1 / k and above do not exist.  A configuration that is drawn again and
    again gives equal weights, which are no sample of a continuous tail and would make the fit report any k: weights
    that equal the tail's threshold to the resolution of float32 densities are left out, and where fewer than 5 are
    above it, or those are all equal, the result is None.
    """
    lw = as_log_weights(log_weights)
    resolution = _LOG_WEIGHT_RESOLUTION * max(1.0, abs(float(lw.max())))
    relative = np.sort(np.maximum(lw[np.isfinite(lw)] - lw.max(), _SMALLEST_LOG))
    tail = int(min(len(relative) / 5, 3 * len(relative) ** 0.5))
    if tail < _MIN_TAIL:
        return None
    above = int(np.sum(relative > relative[-tail - 1] + resolution))
    if above < _MIN_TAIL or relative[-above] > -resolution:
        return None
    return _pareto_k_of_largest(np.exp(relative), above)


def too_few(num_samples: int) -> tuple[str, ...]:
    """Why ``num_samples`` are too few for an error bar, or nothing."""
    if num_samples >= MIN_SAMPLES:
        return ()
    return (f"{num_samples} samples are too few for an error bar; take at least {MIN_SAMPLES}",)


def doubts_of_weights(num_samples: int, ess: float, k: float | None) -> tuple[str, ...]:
    """Why averages with these weights are not to be trusted, in words; nothing when they are."""
    doubts = too_few(num_samples)
    if ess < MIN_EFFECTIVE_SAMPLES:
        doubts += (
            f"effective sample size {ess:.1f} of {num_samples} is below {MIN_EFFECTIVE_SAMPLES}; "
            "take more samples or train longer",
        )
    if k is not None and k > MAX_PARETO_K:
        doubts += (
            f"Pareto k = {k:.2f} is above {MAX_PARETO_K}: a few large weights dominate and larger ones may be unseen",
        )
    return doubts


def _pareto_k_of_largest(weights: Float64[np.ndarray, " sample"], count: int) -> float | None:
    """Tail index of the ``count`` largest of the sorted ``weights`` above the next smaller one."""
    # arviz takes the floor(3 sqrt(n / r_eff)) largest weights: the r_eff that makes it ``count``
    r_eff = 9 * len(weights) / (count + 0.5) ** 2
    k = float(_STATISTICS.pareto_khat(weights[None, :], chain_axis=0, draw_axis=1, r_eff=r_eff, tail="right"))
    return k if np.isfinite(k) else None
