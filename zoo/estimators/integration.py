"""Integrals over [0, 1] of a function that is known at Gauss-Lobatto points, with errors: thermodynamic integration.

    int_0^1 g(t) dt ~ sum_k w_k g(t_k)

with both ends among the n points, exact for polynomials up to degree 2 n - 3 (Abramowitz and Stegun 25.4.32).
"""

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from jaxtyping import Float64
from numpy.polynomial import legendre

from zoo.specs.errors import InvalidValueError

SIGNIFICANT = 3.0
"""A Legendre coefficient counts as seen when it is this many of its standard errors from 0."""

Vector64 = Float64[np.ndarray, " node"]


@dataclass(frozen=True)
class Integral:
    """An integral with its two errors: of the values at the points, and of the rule."""

    value: float
    statistical_error: float
    quadrature_error: float

    @property
    def standard_error(self) -> float:
        """Both errors together, sqrt(statistical^2 + quadrature^2)."""
        return hypot(self.statistical_error, self.quadrature_error)


def gauss_lobatto(num_nodes: int) -> tuple[Vector64, Vector64]:
    """Points t_k of [0, 1] in increasing order, both ends included, and their weights, which sum to 1.

    On [-1, 1] the inner points are the zeros of P'_{n-1}, and w_k = 2 / (n (n - 1) P_{n-1}(x_k)^2).

    Raises:
        InvalidValueError: fewer than 2 points.
    """
    if num_nodes < 2:
        msg = f"{num_nodes} points asked; the rule has at least 2, the ends"
        raise InvalidValueError(msg)
    degree = num_nodes - 1
    last = legendre.Legendre.basis(degree)
    inner = np.sort(last.deriv().roots().real) if degree > 1 else np.empty(0)
    x = np.concatenate([[-1.0], inner, [1.0]])
    weights = 1 / (num_nodes * degree * last(x) ** 2)
    return (1 + x) / 2, weights


def lobatto_integral(means: Vector64, standard_errors: Vector64) -> Integral:
    """int_0^1 g(t) dt from ``means`` of g at the points of ``gauss_lobatto``, known to independent errors.

    The statistical error is sqrt(sum_k (w_k error_k)^2).  The quadrature error is the larger of the last two Legendre
    coefficients of the interpolating polynomial, where the noise lets it be seen (3 standard errors), else 0: for a
    smooth g what the rule leaves out is far smaller than they are.
    """
    t, weights = gauss_lobatto(len(means))
    transform = np.linalg.inv(legendre.legvander(2 * t - 1, len(t) - 1))
    coefficients = (transform @ means)[-2:]
    noise = np.sqrt(transform**2 @ standard_errors**2)[-2:]
    seen = np.where(np.abs(coefficients) > SIGNIFICANT * noise, np.abs(coefficients), 0.0)
    rounding = np.finfo(np.float64).eps * np.abs(means).max() * len(t)
    return Integral(
        value=float(weights @ means),
        statistical_error=sqrt(float(weights**2 @ standard_errors**2)),
        quadrature_error=float(seen.max()) if seen.max() > rounding else 0.0,
    )
