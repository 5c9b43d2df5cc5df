"""sum_n I_n(K)^p without Bessel functions: the p-fold convolution of exp(K cos t) on the circle.

The n-th Fourier coefficient of f(t) = exp(K cos t) is I_n(K), and that of its p-fold convolution, with the measure
dt / 2 pi, is I_n^p.  So sum_n I_n^p exp(i n a) is that convolution at a: the weight of a closed ring of p bonds whose
angles sum to a.  On M even points of the circle the integrals are sums with weight 1 / M, exact but for coefficients of
orders beyond M / 2, and every term is positive: odd rings with K < 0 do not cancel.

With weights as logarithms (``log_weights``) nothing underflows either, however small the weight of a closed ring.
"""

from math import log

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants
from zoo.exact.log_weights import LogWeights, cumulants_of, total, weights_of

MAX_COUPLING = 1e5
"""Largest |K| of ``ring_cumulants``, 6400 points: half a minute at most."""

_AT_ONCE = 2**20  # terms of a block: some ten arrays of eight megabytes

Circle = Float64[np.ndarray, " point"]


def log_power_sum(K: float, power: int, points: int = 600) -> float:
    """Ln sum_n I_n(K)^power over all whole n, K of either sign; ``points`` should exceed some 20 sqrt|K| + 60.

    The cost is points^2 log2(power).
    """
    angle = 2 * np.pi * np.arange(points) / points
    turn = (np.arange(points)[:, None] - np.arange(points)) % points
    return _power(np.exp(K * np.cos(angle) - abs(K)), power, turn)[1] + power * abs(K)


def _power(f: Circle, power: int, turn: np.ndarray) -> tuple[Circle, float]:
    """The convolution, divided by its largest value, and ln of its value at 0."""
    result, log_scale = _by_squaring(f, power, turn)
    return result, log_scale + log(result[0])


def _by_squaring(f: Circle, power: int, turn: np.ndarray) -> tuple[Circle, float]:
    if power == 1:
        return f, 0.0
    half, log_half = _by_squaring(f, power // 2, turn)
    result, log_scale = half[turn] @ half / len(f), 2 * log_half
    if power % 2:
        result = f[turn] @ result / len(f)
    top = float(result.max())
    return result / top, log_scale + log(top)


def ring_cumulants(K: float, power: int) -> Cumulants:
    """Ln Z with mean and variance of u for Z(t) = sum_n I_n(t K)^power over all whole n, at t = 1; K of either sign.

    The cost is about 400 |K| terms for each of some 2 log2(power) convolutions, forty million a second.

    Raises:
        ValueError: |K| above 1e5, or a power below 2.
    """
    if abs(K) > MAX_COUPLING or power < 2:
        msg = f"a ring of {power} bonds at K = {K:g}; at least 2, and |K| of at most {MAX_COUPLING:g} are done"
        raise ValueError(msg)
    points = int(20 * abs(K) ** 0.5) + 60
    bond = weights_of(K * np.cos(2 * np.pi * np.arange(points) / points))
    half = _log_power(bond, power // 2)
    rest = _log_convolution(half, bond) if power % 2 else half
    back = -np.arange(points) % points
    x, y, z = (one + other[back] for one, other in zip(half, rest, strict=True))
    ring = cumulants_of((x, y, z))
    return Cumulants(ring.log_z - (power - 1) * log(points), ring.mean, ring.variance)


def _log_power(f: LogWeights, power: int) -> LogWeights:
    """The ``power``-fold convolution, without the weights 1 / M."""
    if power == 1:
        return f
    half = _log_power(f, power // 2)
    square = _log_convolution(half, half)
    return _log_convolution(square, f) if power % 2 else square


def _log_convolution(f: LogWeights, g: LogWeights) -> LogWeights:
    """sum_k f_k g_(i-k)."""
    points = len(f[0])
    width = max(1, _AT_ONCE // points)
    blocks = []
    for start in range(0, points, width):
        turn = (np.arange(start, min(start + width, points)) - np.arange(points)[:, None]) % points
        x, y, z = (one[:, None] + other[turn] for one, other in zip(f, g, strict=True))
        blocks.append(total((x, y, z)))
    log_weight, mean, variance = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return log_weight, mean, variance
