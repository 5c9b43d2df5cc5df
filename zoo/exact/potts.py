"""The exact reference of a Potts model: the first method that covers it.

In this order: independent sites (no bonds or J = 0), chains in closed form, 2D strips by transfer matrix, enumeration.
With K = beta J every bond of equal values has the weight e^K.  Lengths of 1 are dropped first, since they have no bond;
a periodic length of 2 counts each bond twice, in every method.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import atanh, exp, expm1, log, prod

from zoo.exact.cumulants import Cumulants
from zoo.exact.potts_enumeration import MAX_CONFIGURATIONS, potts_enumeration_cumulants
from zoo.exact.potts_strip import potts_strip_cumulants
from zoo.exact.temperatures import require_temperature_or_zero_beta
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.potts import PottsSpec

_INDEPENDENT = ("independent sites", "closed form: Z = q^N")
_CHAIN = ("closed form", "Potts, Proc. Camb. Phil. Soc. 48, 106 (1952); Wu, Rev. Mod. Phys. 54, 235 (1982)")
_STRIP = ("transfer matrix", "Kramers and Wannier, Phys. Rev. 60, 252 (1941); Wu, Rev. Mod. Phys. 54, 235 (1982)")
_ENUMERATION = ("enumeration", "sum over all configurations, by their number of equal neighbours")

_COLDEST = -700.0  # e^-708 is the smallest normal float


def exact_reference(spec: PottsSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of ``spec`` at ``beta`` (which stands in for ``spec.beta``), with energy and heat capacity.

    Observables: ``energy_per_site`` is <E> / N in the unit of J; ``heat_capacity_per_site`` is beta^2 var(E) / N.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: no method covers these parameters.
    """
    require_temperature_or_zero_beta(beta, spec.J)
    sides = tuple(sorted(side for side in spec.shape if side > 1))
    model = _Reduced(sides, spec.periodic, spec.q, beta * spec.J)
    sites = prod(spec.shape)
    try:
        (method, citation), cumulants = _solve(model)
    except ValueError as error:
        raise spec.no_exact_reference(str(error)) from None
    return ExactReference(
        beta_f=-cumulants.log_z, method=method, citation=citation, observables=cumulants.observables(beta, sites)
    )


def potts_chain_cumulants(length: int, q: int, K: float, *, periodic: bool) -> Cumulants:
    """Ln Z with mean and variance of u = -K sum delta(s_i, s_{i+1}) on a chain or ring of ``length`` sites.

    The transfer matrix e^K on the diagonal and 1 elsewhere has eigenvalues a = e^K + q - 1 once and b = e^K - 1,
    q - 1 times:

        Z = q a^(N-1) (open),      Z = a^N + (q - 1) b^N (ring, N >= 2; a ring of 2 has two bonds).

    With r = b / a, ln Z = N ln a + ln(1 + (q-1) r^N), whose derivatives in K have p = (ln a)' = e^K / a,
    p' = p (1 - p), r' = q p / a and r'' = r' (1 - 2p).

    A frustrated ring (q = 2, odd length) at K < -700, where e^K is no float, goes by powers of the matrix.
    """
    if periodic and q == 2 and length % 2 == 1 and K < _COLDEST:
        return potts_strip_cumulants(1, length, q, K, periodic=True)
    small = exp(-abs(K))
    scaled_a = 1 + (q - 1) * small if K > 0 else small + q - 1  # a e^-K or a
    log_a = log(scaled_a) + max(K, 0.0)
    p, rest = (1 / scaled_a, (q - 1) * small / scaled_a) if K > 0 else (small / scaled_a, (q - 1) / scaled_a)
    bonds = length if periodic and length > 1 else length - 1
    log_z, slope, curvature = bonds * log_a, bonds * p, bonds * p * rest
    if bonds == length:
        r1 = q * p * exp(-log_a)
        ring = _ring(length, q, K, r1, r1 * (rest - p))
        log_z, slope, curvature = log_z + ring[0], slope + ring[1], curvature + ring[2]
    else:
        log_z += log(q)
    return Cumulants(log_z, -K * slope, K * K * curvature)


def _ring(N: int, q: int, K: float, r1: float, r2: float) -> tuple[float, float, float]:
    """F = ln(1 + (q-1) r^N) with its derivatives in K, for r(K) with derivatives r1 and r2.

    Only q = 2 at K < 0 with odd N brings the argument near 0: there r = -(1 - e^K) / (1 + e^K), and
    1 - |r|^N = -expm1(-2 N arctanh e^K).
    """
    small = exp(-abs(K))
    r = -expm1(-K) / (1 + (q - 1) * small) if K > 0 else expm1(K) / (small + q - 1)
    power = r ** (N - 2)
    frustrated = q == 2 and K < 0 and N % 2 == 1
    z = -expm1(-2 * N * atanh(small)) if frustrated else 1 + (q - 1) * power * r * r
    first = (q - 1) * N * power * r * r1 / z
    second = (q - 1) * N * power * ((N - 1) * r1 * r1 + r * r2) / z
    return log(z), first, second - first * first


@dataclass(frozen=True)
class _Reduced:
    """A model as Z sees it: sides longer than 1 in increasing order, and K = beta J."""

    sides: tuple[int, ...]
    periodic: bool
    q: int
    K: float

    @property
    def log_configurations(self) -> float:
        """N ln q."""
        return prod(self.sides) * log(self.q)


@lru_cache(maxsize=256)
def _solve(model: _Reduced) -> tuple[tuple[str, str], Cumulants]:
    """Method, citation and cumulants by the first method that covers ``model``, or a ValueError that says why none."""
    sides, q, K = model.sides, model.q, model.K
    if not sides or K == 0:
        return _INDEPENDENT, Cumulants(model.log_configurations, 0.0, 0.0)
    if len(sides) == 1:
        return _CHAIN, potts_chain_cumulants(sides[0], q, K, periodic=model.periodic)
    why = f"enumeration takes at most {MAX_CONFIGURATIONS} configurations"
    if len(sides) == 2:
        try:
            return _STRIP, potts_strip_cumulants(*sides, q, K, periodic=model.periodic)
        except ValueError as error:
            why = f"{error}; {why}"
    if model.log_configurations <= log(MAX_CONFIGURATIONS) + 1e-9:
        return _ENUMERATION, potts_enumeration_cumulants(sides, q, K, periodic=model.periodic)
    shape = " x ".join(map(str, sides))
    msg = f"a {shape} lattice of q = {q} at beta J = {K:g}; {why}, and there are {q}^{prod(sides)}"
    raise ValueError(msg)
