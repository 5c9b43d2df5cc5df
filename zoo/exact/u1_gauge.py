"""Two-dimensional U(1) gauge theory by character expansion.

Each plaquette's weight is expanded in characters, exp(beta cos t) = sum_n I_n(beta) exp(i n t).  A link lies in two
plaquettes with opposite signs, so its integral is 2 pi if both carry the same n, else 0.  One n is left for the torus:

    Z = (2 pi)^(2 V) sum_n I_n(beta)^V        (with d(theta) on each link; Migdal, Sov. Phys. JETP 42, 413 (1976)).

Topological charge: Q = (1 / 2 pi) sum_p t_p with t_p in [-pi, pi).  With a factor exp(i vartheta Q) the coefficient of
a plaquette becomes J(n - vartheta / 2 pi), where for real nu

    J(nu) = (1 / 2 pi) int_(-pi)^(pi) exp(beta cos t) cos(nu t) dt

(I_nu only at whole nu), so Z(vartheta) = (2 pi)^(2 V) sum_n J(n - vartheta / 2 pi)^V and

    <Q^2> = -d^2 ln Z / d vartheta^2 at 0
          = -(1 / 4 pi^2) sum_n J^V [V (V - 1) (J' / J)^2 + V J'' / J] / sum_n J^V,

the first derivative of Z being zero by n -> -n; J' and J'' are the integrals with -t sin(n t) and -t^2 cos(n t).  One
or two plaquettes on a torus have opposite angles, so Q = 0 there.  Configurations of charge Q weigh
exp(-2 pi^2 beta Q^2 / V) when beta is large.
"""

from functools import lru_cache
from math import log, pi, prod, sqrt

import numpy as np
from jaxtyping import Float64

from zoo.exact.bessel import MAX_ARGUMENT, log_bessel, power_sum_cumulants
from zoo.exact.cumulants import Cumulants
from zoo.exact.temperatures import require_temperature_or_zero_beta
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.u1_gauge import U1GaugeSpec

_CITATION = (
    "Migdal, Sov. Phys. JETP 42, 413 (1976); <Q^2>: Bonati and Rossi, Phys. Rev. D 99, 054503 (2019), arXiv:1901.09830"
)
_FROZEN = 10.0  # beta / V above which a charge weighs less than exp(-2 pi^2 10) = 2e-86
_NODES = 240  # Gauss-Legendre, for at most 34 half-waves


def exact_reference(spec: U1GaugeSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z with d(theta), with ``plaquette`` <cos theta_p>, <Q^2>, energy and heat capacity.

    ``energy_per_site`` and ``heat_capacity_per_site`` are for each of the 2 V links.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: beta above 1e9.
    """
    require_temperature_or_zero_beta(beta)
    if beta > MAX_ARGUMENT:
        raise spec.no_exact_reference(f"beta is {beta:g}, and the sum over characters is done up to {MAX_ARGUMENT:g}")
    plaquettes = prod(spec.shape)
    cumulants = u1_cumulants(plaquettes, beta)
    mean = -cumulants.mean / (beta * plaquettes) if beta > 0 else float(plaquettes == 1)
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="character expansion",
        citation=_CITATION,
        observables={
            "energy_per_site": -mean / 2 + 0.0,  # turns -0.0 into 0.0
            "heat_capacity_per_site": cumulants.variance / (2 * plaquettes),
            "plaquette": mean,
            "topological_charge": 0.0,
            "topological_charge_squared": mean_squared_charge(plaquettes, beta),
        },
    )


def u1_cumulants(plaquettes: int, beta: float) -> Cumulants:
    """Ln Z of ``plaquettes`` = V plaquettes on a torus, with d(theta), and mean and variance of u = beta E.

    Raises:
        ValueError: beta above 1e9.
    """
    if plaquettes == 1:  # theta_p = 0: each of its two links enters with both signs
        return Cumulants(2 * log(2 * pi) + beta, -beta, 0.0)
    c = power_sum_cumulants(beta, plaquettes)
    return Cumulants(2 * plaquettes * log(2 * pi) + c.log_z, c.mean, c.variance)


@lru_cache(maxsize=256)
def mean_squared_charge(plaquettes: int, beta: float) -> float:
    """<Q^2> on a torus of ``plaquettes`` = V plaquettes, to about 1e-12 of V / (1 + beta); V / 12 at beta = 0."""
    if plaquettes <= 2 or beta > _FROZEN * plaquettes:
        return 0.0
    if beta == 0:
        return plaquettes / 12
    weights = log_bessel(beta, plaquettes).weights(plaquettes)
    J, J1, J2 = _coefficients(np.arange(len(weights), dtype=np.float64), beta)
    terms = plaquettes * (plaquettes - 1) * (J1 / J) ** 2 + plaquettes * J2 / J
    return max(0.0, -float(weights @ terms / weights.sum()) / (4 * pi * pi))


def _coefficients(nu: Float64[np.ndarray, " order"], beta: float) -> Float64[np.ndarray, "3 order"]:
    """J(nu) with its first two derivatives, times exp(-beta), by quadrature from 0 to where the weight is e^-45."""
    reach = min(pi, pi * sqrt(22.5 / beta))  # 1 - cos t >= 2 t^2 / pi^2
    x, w = np.polynomial.legendre.leggauss(_NODES)
    t = reach * (x + 1) / 2
    weight = reach / (2 * pi) * w * np.exp(-2 * beta * np.sin(t / 2) ** 2)
    cosine, sine = np.cos(nu[:, None] * t), np.sin(nu[:, None] * t)
    return np.stack([cosine @ weight, -sine @ (t * weight), -cosine @ (t * t * weight)])
