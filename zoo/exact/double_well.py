"""The partition function of a tilted double well with harmonic directions.

    Z = Z_0 (2 pi / (beta k))^((n-1)/2),      Z_0 = integral of exp(-beta [a (x^2 - b)^2 + c x]) dx

Route 1 is quadrature of Z_0 over an interval outside which u has risen by 60 and goes on rising.  Route 2 expands in
the tilt.  Odd orders vanish, and with A = beta a, g = 2 beta a b and z = g^2 / 4A = A b^2 the even ones are confluent
hypergeometric functions (Gradshteyn and Ryzhik, 3.462.1 and 9.240, with x^2 as the variable), r = (2m + 1) / 4:

    Z_0 = e^-z sum_m (beta c)^(2m) / (2m)! M_m,      M_m = integral of x^(2m) exp(-A x^4 + g x^2) dx
    M_m = A^-r / 2 [Gamma(r) 1F1(r; 1/2; z) + 2 sqrt(z) Gamma(r + 1/2) 1F1(r + 1/2; 3/2; z)]      for b >= 0
    M_m = A^-r / 2 Gamma(2r) 2^(1 - 2r) U(r; 1/2; z)                                              for b < 0

All its terms are positive, so that nothing cancels.
"""

from functools import lru_cache
from math import acos, cos, gamma, inf, lgamma, log, pi, sqrt

import numpy as np
from jaxtyping import Float64
from scipy.special import hyp1f1, hyperu

from zoo.exact.cumulants import Cumulants
from zoo.exact.quadrature import LineFunction, line_integrals
from zoo.exact.temperatures import require_temperature
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.double_well import DoubleWellSpec

_RISE = 60.0  # e^-60 is 9e-27
_MAX_TERMS = 160


def exact_reference(spec: DoubleWellSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z at ``beta`` (which stands in for ``spec.beta``).

    Observables: ``energy`` <E> in the target's unit, ``heat_capacity`` beta^2 var(E) with k_B = 1, ``position`` <x_0>,
    ``right_well`` the probability of x_0 > ``barrier_position``, and ``barrier_position`` itself.

    Raises:
        InvalidValueError: a beta that is not positive and finite.
        NoExactReferenceError: parameters so extreme that the quadrature does not converge.
    """
    require_temperature(beta)
    try:
        cumulants, means = _solve(spec, beta)
    except NumericalError as error:
        raise spec.no_exact_reference(error.detail) from error
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="quadrature",
        citation=spec.citation,
        observables={
            "energy": cumulants.mean / beta,
            "heat_capacity": cumulants.variance,
            "barrier_position": barrier_position(spec),
            **means,
        },
    )


def barrier_position(spec: DoubleWellSpec) -> float:
    """The x_0 that divides the wells: the middle root of dE/dx_0 = 4 a (x^3 - b x) + c; 0 where there is one well."""
    b, q = spec.b, spec.c / (4 * spec.a)
    if b <= 0 or 27 * q * q >= 4 * b**3:
        return 0.0
    cosine = -1.5 * q / b * sqrt(3 / b)
    return 2 * sqrt(b / 3) * cos(acos(cosine) / 3 - 2 * pi / 3) + 0.0


def double_well_log_z_by_series(spec: DoubleWellSpec, beta: float) -> float:
    """Ln Z by the expansion in the tilt c.

    Raises:
        NumericalError: the hypergeometric functions overflow (beta a b^2 above some 700), or 160 terms are too few.
    """
    A, tilt = beta * spec.a, beta * abs(spec.c)
    z = A * spec.b**2
    log_terms: list[float] = []
    for m in range(_MAX_TERMS):
        powers = 2 * m * log(tilt) - lgamma(2 * m + 1) if m else 0.0
        log_terms.append(powers - (2 * m + 1) / 4 * log(A) + _log_moment(m, z, wells=2 if spec.b >= 0 else 1))
        if tilt == 0 or log_terms[-1] < max(log_terms) - 45:
            harmonic = (spec.dimension - 1) / 2 * log(2 * pi / (beta * spec.k))
            return float(np.logaddexp.reduce(log_terms)) - z + harmonic
    msg = f"the series in the tilt {tilt:g} has not converged after {_MAX_TERMS} terms"
    raise NumericalError(msg)


def _log_moment(m: int, z: float, *, wells: int) -> float:
    """Ln(A^r M_m) with r = (2m + 1) / 4."""
    r = (2 * m + 1) / 4
    if wells == 2:
        even = gamma(r) * float(hyp1f1(r, 0.5, z))
        value = (even + 2 * sqrt(z) * gamma(r + 0.5) * float(hyp1f1(r + 0.5, 1.5, z))) / 2
    else:
        value = gamma(2 * r) * 2.0 ** (-2 * r) * float(hyperu(r, 0.5, z))
    if not 0 < value < inf:
        msg = f"moment {2 * m} of the double well is {value} at beta a b^2 = {z:g}: out of the range of floats"
        raise NumericalError(msg)
    return log(value)


@lru_cache(maxsize=256)
def _solve(spec: DoubleWellSpec, beta: float) -> tuple[Cumulants, dict[str, float]]:
    """Cumulants of all coordinates, and means of x_0 and of being in the right well."""
    u, reach, barrier = _reduced_energy(spec, beta), _reach(spec, beta), barrier_position(spec)
    observables = {"position": lambda x: x, "right_well": lambda x: (x > barrier) * 1.0}
    along, means = line_integrals(u, -reach, reach, observables)
    others = spec.dimension - 1
    log_z = along.log_z + others / 2 * log(2 * pi / (beta * spec.k))
    return Cumulants(log_z, along.mean + others / 2, along.variance + others / 2), means


def _reduced_energy(spec: DoubleWellSpec, beta: float) -> LineFunction:
    def u(x: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        return np.asarray(beta * (spec.a * (x * x - spec.b) ** 2 + spec.c * x))

    return u


def _reach(spec: DoubleWellSpec, beta: float) -> float:
    """An |x| beyond which u rises, and where it is at least 60 above its minimum.

    Roots of x^3 - b x + q have |x|^3 <= |b| |x| + |q|, so |x| <= max(sqrt(2 |b|), cbrt(2 |q|)): all stationary points.
    """
    u = _reduced_energy(spec, beta)
    outermost: float = max(sqrt(2 * abs(spec.b)), (abs(spec.c) / (2 * spec.a)) ** (1 / 3))
    ends = np.array([-1.0, 1.0])
    step: float = (beta * spec.a) ** -0.25
    while (u(ends * (outermost + step)) - u(ends * outermost)).min() < _RISE:
        step *= 1.5
    return outermost + step
