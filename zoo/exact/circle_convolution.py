"""sum_n I_n(K)^p without Bessel functions: the p-fold convolution of exp(K cos t) on the circle.

The n-th Fourier coefficient of f(t) = exp(K cos t) is I_n(K), and that of its p-fold convolution, with the measure
dt / 2 pi, is I_n^p.  So sum_n I_n^p exp(i n a) is that convolution at a: the weight of a closed ring of p bonds whose
angles sum to a.  On M even points of the circle the integrals are sums with weight 1 / M, exact but for coefficients of
orders beyond M / 2, and every term is positive: odd rings with K < 0 do not cancel.
"""

from math import log

import numpy as np
from jaxtyping import Float64

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
