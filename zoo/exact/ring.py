"""The partition function of concentric rings, E = min_i (|x| - R_i)^2 / (2 w^2) in the plane.

In polar coordinates, with s = w / sqrt(beta), the ring that is nearest changes half way between two radii, and

    Z = 2 pi sum_i integral of r exp(-t^2 / 2) dr from c_{i-1} to c_i,      t = (r - R_i) / s,
    c_0 = 0,      c_i = (R_i + R_{i+1}) / 2,      c_m = infinity.

With r = R_i + s t, and u = t^2 / 2, all that is needed are the partial moments of a normal distribution

    I_k = integral of t^k exp(-t^2 / 2) dt from a to b
    I_0 = sqrt(pi/2) [erf(b / sqrt 2) - erf(a / sqrt 2)],      I_1 = exp(-a^2 / 2) - exp(-b^2 / 2)
    I_k = a^(k-1) exp(-a^2 / 2) - b^(k-1) exp(-b^2 / 2) + (k - 1) I_{k-2}

for k up to 5.  Nothing cancels in I_0 since a <= 0 <= b.  Second route: quadrature of the same integral over r, and
over the plane.
"""

from itertools import pairwise
from math import erf, exp, inf, log, pi, sqrt

from zoo.exact.cumulants import Cumulants
from zoo.exact.temperatures import require_temperature
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.ring import RingSpec


def exact_reference(spec: RingSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z at ``beta`` (which stands in for ``spec.beta``).

    Observables: ``energy`` <E>, ``heat_capacity`` beta^2 var(E) with k_B = 1, ``radius`` <|x|> in the unit of the
    radii, ``in_first_ring`` the probability that the innermost ring is the nearest.

    Raises:
        InvalidValueError: a beta that is not positive and finite.
    """
    require_temperature(beta)
    s = spec.width / sqrt(beta)
    sums, first = [0.0] * 4, 0.0
    for i, (radius, (a, b)) in enumerate(zip(spec.radii, _segments(spec, s), strict=True)):
        moments = _partial_moments(a, b)
        ring = [radius * moments[k] + s * moments[k + 1] for k in range(5)]  # integrals of r t^k exp(-t^2 / 2)
        terms = (ring[0], ring[2] / 2, ring[4] / 4, radius * ring[0] + s * ring[1])  # of 1, u, u^2 and r
        sums = [total + term for total, term in zip(sums, terms, strict=True)]
        first = ring[0] if i == 0 else first
    mean = sums[1] / sums[0]
    cumulants = Cumulants(log(2 * pi * s) + log(sums[0]), mean, sums[2] / sums[0] - mean**2)
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="closed form",
        citation=spec.citation,
        observables={
            "energy": cumulants.mean / beta,
            "heat_capacity": cumulants.variance,
            "radius": sums[3] / sums[0],
            "in_first_ring": first / sums[0],
        },
    )


def ring_borders(spec: RingSpec) -> tuple[float, ...]:
    """0, the distances at which the nearest ring changes, and infinity."""
    return (0.0, *((inner + outer) / 2 for inner, outer in pairwise(spec.radii)), inf)


def _segments(spec: RingSpec, s: float) -> list[tuple[float, float]]:
    """The range of t = (r - R_i) / s in which ring i is the nearest."""
    borders = pairwise(ring_borders(spec))
    return [((low - R) / s, (high - R) / s) for R, (low, high) in zip(spec.radii, borders, strict=True)]


def _partial_moments(a: float, b: float) -> list[float]:
    """I_0 .. I_5 from ``a`` <= 0 to ``b`` >= 0."""
    moments = [sqrt(pi / 2) * (erf(b / sqrt(2)) - erf(a / sqrt(2))), _edge(0, a) - _edge(0, b)]
    for k in range(2, 6):
        moments.append(_edge(k - 1, a) - _edge(k - 1, b) + (k - 1) * moments[k - 2])
    return moments


def _edge(power: int, t: float) -> float:
    """t^power exp(-t^2 / 2), 0 at infinity and wherever it is below e^-700."""
    return 0.0 if t * t > 1400 else t**power * exp(-t * t / 2)
