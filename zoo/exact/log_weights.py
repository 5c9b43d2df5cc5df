"""Sums of weights exp(x) kept as logarithm, mean and variance of x, which nothing can overflow, underflow or cancel.

A sum of two weights is a mixture of two distributions: with p the share of b,

    ln(e^a + e^b) = max(a, b) + ln(1 + e^-|a-b|),      m = m_a + p (m_b - m_a),
    v = v_a + p (v_b - v_a) + p (1 - p) (m_b - m_a)^2,

and in a product of two all three add up.  Every term of a variance is positive, however cold the spins.
"""

import numpy as np

from zoo.exact.cumulants import Cumulants
from zoo.exact.series import Array

MAX_EXPONENT = 1e100
"""Largest exponent: its square is a number."""

LogWeights = tuple[Array, Array, Array]
"""Logarithm, mean and variance."""


def weights_of(x: Array) -> LogWeights:
    """exp(x)."""
    return x, x, np.zeros_like(x)


def added(a: LogWeights, b: LogWeights) -> LogWeights:
    """Element by element, the sum."""
    d = b[0] - a[0]
    small = np.exp(-np.abs(d))
    larger_share = 1 / (1 + small)
    smaller_share = small * larger_share
    p = np.where(d > 0, larger_share, smaller_share)
    apart = b[1] - a[1]
    variance = a[2] + p * (b[2] - a[2]) + larger_share * smaller_share * apart**2
    return np.maximum(a[0], b[0]) + np.log1p(small), a[1] + p * apart, variance


def total(a: LogWeights) -> LogWeights:
    """The sum along the first axis, by halves."""
    while len(a[0]) > 1:
        half, even = len(a[0]) // 2, len(a[0]) // 2 * 2
        pairs = added((a[0][:half], a[1][:half], a[2][:half]), (a[0][half:even], a[1][half:even], a[2][half:even]))
        a = _joined(pairs, (a[0][even:], a[1][even:], a[2][even:]))
    return a[0][0], a[1][0], a[2][0]


def matrix_product(a: LogWeights, b: LogWeights) -> LogWeights:
    """sum_k a_ik b_kj."""
    x, y, z = (p.T[:, :, None] + q[:, None, :] for p, q in zip(a, b, strict=True))
    return total((x, y, z))


def matrix_power(a: LogWeights, exponent: int) -> LogWeights:
    """a^exponent by squaring, exponent >= 1."""
    if exponent == 1:
        return a
    half = matrix_power(a, exponent // 2)
    square = matrix_product(half, half)
    return matrix_product(square, a) if exponent % 2 else square


def cumulants_of(a: LogWeights) -> Cumulants:
    """Ln Z with mean and variance of u = -x for the sum of all elements."""
    log_z, mean, variance = (float(part) for part in total((a[0].ravel(), a[1].ravel(), a[2].ravel())))
    return Cumulants(log_z, -mean, variance)


def _joined(a: LogWeights, b: LogWeights) -> LogWeights:
    return np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]]), np.concatenate([a[2], b[2]])
