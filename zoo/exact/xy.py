"""XY chains by transfer matrix, whose eigenvalues are Bessel functions.

T(t, t') = exp(K cos(t - t')), K = beta J, has the eigenfunctions exp(i n t) with eigenvalues 2 pi I_n(K), n whole.  So

    ring of N sites:    Z = (2 pi)^N sum_n I_n(K)^N,
    open chain:         Z = (2 pi)^N I_0(K)^(N-1),

the latter since the open ends are uniform, n = 0.  For K < 0, I_n(K) = (-1)^n I_n(|K|): a ring of even length does not
change, that of an odd one is frustrated and its sum alternates.  Where its terms cancel, above |K| of some 2 N, the
convolutions of ``circle_convolution`` take over, whose terms are positive.  A ring of 2 has a double bond, as the
formula has by itself; a ring of 1 has none.

Joyce, Phys. Rev. 155, 478 (1967); Mattis, Phys. Lett. A 104, 357 (1984).
"""

from math import log, pi, prod

from zoo.exact.bessel import MAX_ARGUMENT, log_bessel, power_sum_cumulants
from zoo.exact.circle_convolution import MAX_COUPLING, ring_cumulants
from zoo.exact.cumulants import Cumulants
from zoo.exact.temperatures import require_temperature_or_zero_beta
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.xy import XYSpec

_CITATION = "Joyce, Phys. Rev. 155, 478 (1967); Mattis, Phys. Lett. A 104, 357 (1984)"


def exact_reference(spec: XYSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z with d(theta), with ``energy_per_site`` in the unit of J and ``heat_capacity_per_site``.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: no chain; beta |J| above 1e9; an odd ring with J < 0 and beta |J| above 1e5 and above
            some twice its length.
    """
    require_temperature_or_zero_beta(beta, spec.J)
    K = beta * spec.J
    sides = [side for side in spec.shape if side > 1]
    if len(sides) > 1 and K != 0:
        raise spec.no_exact_reference(f"the lattice {spec.shape} is not a chain")
    if abs(K) > MAX_ARGUMENT:
        raise spec.no_exact_reference(f"beta |J| is {abs(K):g}, and Bessel functions are summed up to {MAX_ARGUMENT:g}")
    sites = prod(spec.shape)
    try:
        cumulants = xy_chain_cumulants(sites, K, periodic=spec.periodic)
    except ValueError as error:
        raise spec.no_exact_reference(str(error)) from None
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="transfer matrix" if sides and K != 0 else "independent angles",
        citation=_CITATION,
        observables={
            "energy_per_site": cumulants.mean / (beta * sites) + 0.0 if beta > 0 else 0.0,
            "heat_capacity_per_site": cumulants.variance / sites,
        },
    )


def xy_chain_cumulants(length: int, coupling_times_beta: float, *, periodic: bool) -> Cumulants:
    """Ln Z with mean and variance of u = -K sum cos(t_i - t_(i+1)) on a chain of ``length`` sites.

    Raises:
        ValueError: |K| above 1e9; or K < 0 on an odd ring, where the terms of the sum cancel, and |K| above 1e5.
    """
    K, measure = abs(coupling_times_beta), length * log(2 * pi)
    if K == 0 or length == 1:
        return Cumulants(measure, 0.0, 0.0)
    if periodic:
        frustrated = coupling_times_beta < 0 and length % 2 == 1
        c = _frustrated_ring(K, length) if frustrated else power_sum_cumulants(K, length)
        return Cumulants(measure + c.log_z, c.mean, c.variance)
    bond, bonds = log_bessel(max(K, 1e-100), 1), length - 1
    mean, variance = -K * (bond.base + float(bond.slope[0])), K * K * float(bond.curvature[0])
    return Cumulants(measure + bonds * (float(bond.log[0]) + K), bonds * mean, bonds * variance)


def _frustrated_ring(K: float, length: int) -> Cumulants:
    """sum_n (-1)^n I_n(K)^N, by convolutions where the terms cancel."""
    try:
        return power_sum_cumulants(K, length, alternating=True)
    except ValueError as error:
        if K > MAX_COUPLING:
            msg = f"{error}; an odd ring with J < 0 is done for beta |J| up to {MAX_COUPLING:g} or twice its length"
            raise ValueError(msg) from None
        return ring_cumulants(-K, length)
