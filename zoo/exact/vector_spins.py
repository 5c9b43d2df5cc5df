"""Chains of classical vector spins by transfer matrix, whose eigenvalues are Bessel functions.

With K = beta J, the kernel exp(K s . s') on the unit sphere of d components, of area A, has the spherical harmonics of
degree l as eigenfunctions (the theorem of Funk and Hecke), D_l of them, with eigenvalues A lambda_l(K),

    lambda_l(K) = Gamma(d/2) (2/K)^(d/2-1) I_(l+d/2-1)(K),      D_l = C(l+d-1, d-1) - C(l+d-3, d-1).

So

    ring of N spins:         Z = A^N sum_l D_l lambda_l(K)^N,
    open chain:              Z = A^N lambda_0(K)^(N-1),
    N independent spins:     Z = A^N lambda_0(beta h)^N,

for d = 3 Fisher's lambda_0 = sinh K / K.  lambda_l(-K) = (-1)^l lambda_l(K): a ring of odd length with J < 0 is
frustrated, and its sum alternates.  A ring of 2 has a double bond, as the formula has by itself; a ring of 1 has none.

Derivatives, with r = I_(nu+1) / I_nu and nu = l + d/2 - 1:

    (ln lambda_l)' = r + l / K,      (ln lambda_l)'' = 1 - r^2 - (2 nu + 1) r / K - l / K^2.

Fisher, Am. J. Phys. 32, 343 (1964); Joyce, Phys. Rev. 155, 478 (1967).
"""

from dataclasses import dataclass
from math import lgamma, log, pi, prod, sqrt

import numpy as np
from jaxtyping import Float64
from scipy.special import gammaln, ive

from zoo.exact.cumulants import Cumulants
from zoo.exact.temperatures import require_temperature_or_zero_beta
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.vector_spins import VectorSpinsSpec

_CITATION = "Fisher, Am. J. Phys. 32, 343 (1964); Joyce, Phys. Rev. 155, 478 (1967)"
MAX_ARGUMENT = 1e4
"""Largest K: the variance is a difference of terms that are K^2 times as large."""
_LEAST_ARGUMENT = 1e-100  # below, all cumulants but ln Z are zero in any case, and 1 / K^2 stays a number
_MOST_CANCELLED = 1e-5  # an alternating sum this small, relative to its terms, has lost five of its sixteen digits

Degrees = Float64[np.ndarray, " degree"]


@dataclass(frozen=True)
class _Eigenvalues:
    """ln lambda_l(K), and its first two derivatives in K, for l = 0, 1, ..; and ln D_l."""

    log: Degrees
    slope: Degrees
    curvature: Degrees
    log_degeneracy: Degrees


def exact_reference(spec: VectorSpinsSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z with the spheres' areas, ``energy_per_site`` and ``heat_capacity_per_site``.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: no chain; a field on spins that interact; beta |J| or beta |h| above 1e4; a frustrated
            ring whose sum cancels.
    """
    require_temperature_or_zero_beta(beta, spec.J, spec.h)
    sites, d = prod(spec.shape), spec.components
    if spec.has_bonds and sum(side > 1 for side in spec.shape) > 1 and beta > 0:
        raise spec.no_exact_reference(f"the lattice {spec.shape} is not a chain")
    if spec.has_bonds and spec.h != 0 and beta > 0:
        raise spec.no_exact_reference(f"a field h = {spec.h:g} on spins that interact")
    if (largest := beta * max(abs(spec.J) if spec.has_bonds else 0.0, abs(spec.h))) > MAX_ARGUMENT:
        bound = f"Bessel functions are summed up to {MAX_ARGUMENT:g}"
        raise spec.no_exact_reference(f"beta |J| or beta |h| is {largest:g}, and {bound}")
    try:
        if spec.has_bonds:
            cumulants = vector_chain_cumulants(sites, beta * spec.J, d, periodic=spec.periodic)
        else:
            cumulants = independent_cumulants(sites, beta * spec.h, d)
    except ValueError as error:
        raise spec.no_exact_reference(str(error)) from None
    method = "transfer matrix" if spec.has_bonds and beta > 0 else "independent spins"
    return ExactReference(
        beta_f=-cumulants.log_z, method=method, citation=_CITATION, observables=cumulants.observables(beta, sites)
    )


def log_area(components: int) -> float:
    """Ln A, A = 2 pi^(d/2) / Gamma(d/2) the area of the unit sphere in d dimensions."""
    return log(2) + components / 2 * log(pi) - lgamma(components / 2)


def independent_cumulants(sites: int, field_times_beta: float, components: int) -> Cumulants:
    """Ln Z with mean and variance of u = -beta h sum s_i^d of spins that do not interact."""
    K = abs(field_times_beta)
    if K == 0:
        return Cumulants(sites * log_area(components), 0.0, 0.0)
    first = _eigenvalues(K, components, 1)
    mean, variance = -K * float(first.slope[0]), K * K * float(first.curvature[0])
    return Cumulants(sites * (log_area(components) + float(first.log[0])), sites * mean, sites * variance)


def vector_chain_cumulants(length: int, coupling_times_beta: float, components: int, *, periodic: bool) -> Cumulants:
    """Ln Z with mean and variance of u = -K sum s_i . s_(i+1) on a chain of ``length`` spins of d ``components``.

    Raises:
        ValueError: K < 0 on an odd ring, where the terms of the sum cancel.
    """
    K, measure = abs(coupling_times_beta), length * log_area(components)
    bonds = length if periodic and length > 1 else length - 1
    if not periodic or bonds == 0 or K == 0:
        c = independent_cumulants(bonds, K, components)
        return Cumulants(measure + c.log_z - bonds * log_area(components), c.mean, c.variance)
    found = _eigenvalues(K, components, _num_degrees(K, length, components))
    exponent = found.log_degeneracy + length * found.log
    weights = np.exp(exponent - exponent.max())
    frustrated = coupling_times_beta < 0 and length % 2 == 1
    signed = weights * (-1.0) ** np.arange(len(weights)) if frustrated else weights
    total = float(signed.sum())
    if total < _MOST_CANCELLED * weights.sum():
        left = f"{total / weights.sum():.1g} of their size"
        msg = f"the terms of a frustrated ring of {length} at K = {-K:g} cancel to {left}"
        raise ValueError(msg)
    p = signed / total
    slope = float(p @ found.slope)
    curvature = length * float(p @ found.curvature) + length**2 * float(p @ (found.slope - slope) ** 2)
    log_z = measure + float(exponent.max()) + log(total)
    return Cumulants(log_z, -K * length * slope, K * K * curvature)


def _num_degrees(K: float, power: int, components: int) -> int:
    """How many degrees count: lambda_l / lambda_0 falls as exp(-l^2 / 2 K), and for small K faster."""
    return 40 + 4 * components + int(sqrt(2 * K * (60 + 12 * components) / power))


def _eigenvalues(K: float, components: int, degrees: int) -> _Eigenvalues:
    """Those of the first ``degrees`` degrees, as far as they are no smaller than the smallest number."""
    order = components / 2 - 1
    degree = np.arange(degrees, dtype=np.float64)
    nu, K_ = degree + order, max(K, _LEAST_ARGUMENT)
    scaled = ive(np.stack([nu, nu + 1]), K_)
    kept = (scaled > 0).all(0)
    of_order, of_next = np.where(kept, scaled, 1.0)
    ratio = of_next / of_order
    log_lambda = gammaln(order + 1) + order * log(2 / K_) + np.log(of_order) + K_
    slope = ratio + degree / K_
    curvature = 1 - ratio**2 - (2 * nu + 1) * ratio / K_ - degree / K_**2
    log_lambda = np.where(kept, log_lambda, -np.inf)
    return _Eigenvalues(log_lambda, slope, curvature, _log_degeneracy(degree, components))


def _log_degeneracy(degree: Degrees, components: int) -> Degrees:
    """Ln D_l = ln (2 l + d - 2) + ln Gamma(l + d - 2) - ln Gamma(d - 1) - ln l!, and 0 for l = 0."""
    d, above = components, np.maximum(degree, 1.0)
    found = np.log(2 * above + d - 2) + gammaln(above + d - 2) - gammaln(d - 1) - gammaln(above + 1)
    return np.where(degree == 0, 0.0, found)
