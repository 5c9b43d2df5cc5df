"""The Mueller-Brown surface by quadrature in the plane.

Its four terms are

    E(x, y) = sum_k A_k exp[a_k (x - X_k)^2 + b_k (x - X_k)(y - Y_k) + c_k (y - Y_k)^2]

with the constants below (K. Mueller and L. D. Brown, Theor. Chim. Acta 53, 75 (1979)).  The first three are wells, at
least -470 together.  The fourth confines: its quadratic form has the eigenvalues 0.4 and 1, so that at distance r from
(-1, 1) it is at least 15 exp(0.4 r^2).  Hence E >= 100 / beta outside the circle with
15 exp(0.4 r^2) = 470 + 100 / beta, while it is negative in the wells.

Route 1 integrates adaptively over the square p, q = (x + y, y - x) / sqrt 2 around that circle, which is turned so that
the line which divides the basins is parallel to a side.  Route 2 is the product trapezoid rule in x and y, whose error
falls exponentially with the number of points because E is analytic and exp(-beta E) vanishes at the border.
"""

from functools import lru_cache
from math import log, sqrt

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants
from zoo.exact.quadrature import PlaneFunction, plane_cumulants, plane_integrals
from zoo.exact.temperatures import require_temperature
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.mueller_brown import MuellerBrownSpec

A = (-200.0, -100.0, -170.0, 15.0)
XX = (-1.0, -1.0, -6.5, 0.7)
XY = (0.0, 0.0, 11.0, 0.6)
YY = (-10.0, -10.0, -6.5, 0.7)
CENTERS = ((1.0, 0.0), (0.0, 0.5), (-0.5, 1.5), (-1.0, 1.0))

DIVIDING_LINE = 1.446
"""y - x at the saddle point (-0.822, 0.624) between the deepest minimum and the others: the deep basin is above."""

_WELLS = 470.0
_RISE = 100.0


def exact_reference(spec: MuellerBrownSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z at ``beta`` (which stands in for ``spec.beta``).

    Observables: ``energy`` <E> in the published unit, ``heat_capacity`` beta^2 var(E) with k_B = 1, ``x`` and ``y`` the
    mean position, ``deep_basin`` the probability of y - x > 1.446.

    Raises:
        InvalidValueError: a beta that is not positive and finite.
        NoExactReferenceError: a beta so large that the quadrature does not converge.
    """
    require_temperature(beta)
    try:
        cumulants, means = _solve(beta)
    except NumericalError as error:
        raise spec.no_exact_reference(error.detail) from error
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="quadrature",
        citation=spec.citation,
        observables={"energy": cumulants.mean / beta, "heat_capacity": cumulants.variance, **means},
    )


def mueller_brown_energy(points: Float64[np.ndarray, "point 2"]) -> Float64[np.ndarray, " point"]:
    """E at each of ``points`` (x, y)."""
    energy = np.zeros(len(points))
    for amplitude, xx, xy, yy, center in zip(A, XX, XY, YY, CENTERS, strict=True):
        dx, dy = (points - center).T
        energy += amplitude * np.exp(xx * dx * dx + xy * dx * dy + yy * dy * dy)
    return energy


def mueller_brown_log_z_by_trapezoid(beta: float, points: int = 2000) -> float:
    """Ln Z by the trapezoid rule with ``points`` points along x and along y."""
    reach = _reach(beta)
    x = np.linspace(-1 - reach, -1 + reach, points)
    log_rows = [
        np.logaddexp.reduce(-beta * mueller_brown_energy(np.column_stack([x, np.full(points, y)])))
        for y in np.linspace(1 - reach, 1 + reach, points)
    ]
    return float(np.logaddexp.reduce(log_rows)) + 2 * log(2 * reach / (points - 1))


@lru_cache(maxsize=64)
def _solve(beta: float) -> tuple[Cumulants, dict[str, float]]:
    """Cumulants, and the means of the observables."""
    reach = _reach(beta)
    u = _reduced_energy(beta)
    center = (0.0, sqrt(2))  # of (p, q) for (x, y) = (-1, 1)
    low, high = (center[0] - reach, center[1] - reach), (center[0] + reach, center[1] + reach)
    observables = {"x": lambda p: _unturned(p)[:, 0], "y": lambda p: _unturned(p)[:, 1]}
    cumulants, means = plane_integrals(u, low, high, observables)
    deep = plane_cumulants(u, (low[0], DIVIDING_LINE / sqrt(2)), high)
    return cumulants, {**means, "deep_basin": float(np.exp(deep.log_z - cumulants.log_z))}


def _reduced_energy(beta: float) -> PlaneFunction:
    """Beta E as a function of (p, q)."""

    def u(points: Float64[np.ndarray, "point 2"]) -> Float64[np.ndarray, " point"]:
        return beta * mueller_brown_energy(_unturned(points))

    return u


def _unturned(points: Float64[np.ndarray, "point 2"]) -> Float64[np.ndarray, "point 2"]:
    """(x, y) of points (p, q) = (x + y, y - x) / sqrt 2."""
    p, q = points.T
    return np.column_stack([p - q, p + q]) / sqrt(2)


def _reach(beta: float) -> float:
    """A distance from (-1, 1) beyond which beta E >= 100."""
    return sqrt(log((_WELLS + _RISE / beta) / A[3]) / 0.4)
