"""Arrays carried with their first two derivatives in t, for weights exp(-t u): Z, <u> and var(u) from one pass.

Products follow Leibniz's rule.  Arrays are rescaled on the way, and the logarithm of what was taken out is carried
beside them.
"""

from collections.abc import Callable
from math import comb

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants

Array = Float64[np.ndarray, "..."]
Series = tuple[Array, Array, Array]
Scaled = tuple[Series, Array]  # a series and the logarithm of a constant factor taken out of it


def product(op: Callable[[Array, Array], Array], a: Series, b: Series) -> Series:
    """The bilinear ``op(a, b)`` with its derivatives: (ab)' = a'b + ab', (ab)'' = a''b + 2a'b' + ab''."""
    terms = [sum(comb(n, j) * np.asarray(op(a[n - j], b[j])) for j in range(n + 1)) for n in range(3)]
    return np.asarray(terms[0]), np.asarray(terms[1]), np.asarray(terms[2])


def mapped(linear: Callable[[Array], Array], a: Series) -> Series:
    """A ``linear`` map applied to a series."""
    return linear(a[0]), linear(a[1]), linear(a[2])


def divided(a: Series, constant: Array | float) -> Series:
    """A series over a constant."""
    return a[0] / constant, a[1] / constant, a[2] / constant


def exp_series(x: Array) -> Series:
    """exp(t x) with its derivatives at t = 1."""
    value = np.exp(x)
    return value, x * value, x * x * value


def dot(a: Float64[np.ndarray, "vector state"], b: Float64[np.ndarray, "vector state"]) -> Array:
    """The inner product of each row of ``a`` with that of ``b``."""
    return np.asarray(np.einsum("vs,vs->v", a, b))


def scalars(series: Series, log_scale: Array | float = 0.0) -> Scaled:
    """A series of one number, as ``summed`` takes it."""
    return mapped(np.atleast_1d, series), np.atleast_1d(np.asarray(log_scale))


def summed(terms: Scaled, offset: float) -> Cumulants:
    """The cumulants of Z(t) = exp(t offset) sum_k exp(log_scale_k) series_k(t)."""
    series, log_scale = terms
    top = log_scale.max()
    z0, z1, z2 = (float((np.exp(log_scale - top) * a).sum()) for a in series)
    return Cumulants(float(top + np.log(z0)) + offset, -z1 / z0 - offset, z2 / z0 - (z1 / z0) ** 2)
