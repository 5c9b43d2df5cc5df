"""The Ising model on an infinite lattice without field, for each site: square (Onsager) and triangular (Houtappel).

These are limits, not references of finite systems.  Square lattice, K = beta J:

    ln Z / N = ln(2 cosh 2K) + (1/pi) int_0^{pi/2} ln[(1 + sqrt(1 - k^2 sin^2 x)) / 2] dx,   k = 2 sinh 2K / cosh^2 2K

    E / N = -J coth 2K [1 + (2/pi) k' K(k)],      k' = 2 tanh^2 2K - 1,      1 - k^2 = k'^2

    C / N = (2/pi) (K coth 2K)^2 { 2 K(k) - 2 E(k) - (1 - k') [pi/2 + k' K(k)] },      |M| = (1 - sinh^-4 2K)^(1/8)

with the complete elliptic integrals of modulus k.  Far from the critical point these are small differences, and the
series p(x) = x^4 + 2 x^6 + 9/2 x^8 + 12 x^10 + 112/3 x^12 + .. replaces them, in tanh K or exp(-2K).

Onsager, Phys. Rev. 65, 117 (1944), eqs. 106 to 117; magnetization: Yang, Phys. Rev. 85, 808 (1952); series: Domb, Adv.
Phys. 9, 149 (1960).  The energy is that of K, and even in K are ln Z, K E and C.

Triangular lattice, with c = cosh 2K and s = sinh 2K,

    ln Z / N = ln 2 + (1/8 pi^2) int int ln[c^3 + s^3 - s (cos x + cos y + cos(x + y))] dx dy,

one of whose integrals is (1/2 pi) int ln(A + R cos y) dy = ln[(A + sqrt(A^2 - R^2)) / 2].  Houtappel, Physica 16, 425
(1950); Wannier, Phys. Rev. 79, 357 (1950).
"""

from collections.abc import Callable
from math import asinh, cos, cosh, exp, inf, log, log1p, pi, sin, sinh, sqrt, tanh

from scipy.integrate import quad
from scipy.special import ellipe, ellipkm1

from zoo.exact.cumulants import Cumulants

SQUARE_CRITICAL_K = asinh(1) / 2
"""sinh 2K = 1: ln(1 + sqrt 2) / 2."""

TRIANGULAR_CRITICAL_K = log(3) / 4
"""exp(4K) = 3."""

_LARGEST = 150.0  # cosh^2 2K is a float; colder lattices are in their ground state to the last digit
_SERIES = ((4, 1.0), (6, 2.0), (8, 4.5), (10, 12.0), (12, 112 / 3))
_SERIES_BELOW = 0.02  # the next term is some 1e-15 of the first; the closed form has lost four digits
_LARGEST_TRIANGULAR = 50.0
_TOLERANCE = 1e-13


def onsager_cumulants(coupling_times_beta: float) -> Cumulants:
    """Ln Z, mean and variance of u = beta E for each site of the infinite square lattice, without field.

    The variance, the specific heat C = beta^2 var(E) / N, is infinite at the critical point.
    """
    K = abs(coupling_times_beta)
    if exp(-2 * K) < _SERIES_BELOW:
        return _low_temperature(K)
    if tanh(K) < _SERIES_BELOW:
        return _high_temperature(K)
    t = tanh(2 * K)
    complement = 2 * t * t - 1  # k'
    modulus = 2 * t / cosh(2 * K)

    def log_term(x: float) -> float:
        return log1p((sqrt(max(0.0, 1 - (modulus * sin(x)) ** 2)) - 1) / 2)

    log_z = 2 * K + log1p(exp(-4 * K)) + _integral(log_term, pi / 2, kinks=(pi / 2,)) / pi
    if complement == 0 or K == SQUARE_CRITICAL_K:
        return Cumulants(log_z, -K / t, inf)
    first, second = float(ellipkm1(complement**2)), float(ellipe(modulus**2))
    energy = -(1 + 2 / pi * complement * first) / t
    heat = 2 / pi * (K / t) ** 2 * (2 * first - 2 * second - (1 - complement) * (pi / 2 + complement * first))
    return Cumulants(log_z, K * energy, heat)


def _high_temperature(K: float) -> Cumulants:
    """Ln Z / N = ln 2 + 2 ln cosh K + p(tanh K), with the sum p over closed loops of v = tanh K on the lattice."""
    v = tanh(K)
    w = (1 - v) * (1 + v)  # dv/dK
    p = sum(c * v**n for n, c in _SERIES)
    slope = 2 * v + w * sum(n * c * v ** (n - 1) for n, c in _SERIES)
    curvature = 2 * w + w * sum(n * c * ((n - 1) * v ** (n - 2) - (n + 1) * v**n) for n, c in _SERIES)
    return Cumulants(log(2) + log1p(sinh(K) ** 2) + p, -K * slope, K * K * curvature)


def _low_temperature(K: float) -> Cumulants:
    """Ln Z / N = 2K + p(exp(-2K)): the loops are the boundaries of flipped spins (Kramers and Wannier)."""
    terms = [(n, c * exp(-2 * n * K)) for n, c in _SERIES]
    slope, curvature = 2 - 2 * sum(n * x for n, x in terms), 4 * sum(n * n * x for n, x in terms)
    return Cumulants(2 * K + sum(x for _, x in terms), -K * slope, K * K * curvature)


def spontaneous_magnetization(coupling_times_beta: float) -> float:
    """|M| per site of the infinite square lattice, 0 above the critical temperature; the staggered one for K < 0."""
    K = min(abs(coupling_times_beta), _LARGEST)
    return (1 - sinh(2 * K) ** -4) ** 0.125 if K > SQUARE_CRITICAL_K else 0.0


def triangular_log_z(coupling_times_beta: float) -> float:
    """Ln Z for each site of the infinite triangular lattice, without field, for either sign of K.

    Raises:
        ValueError: |K| above 50, where cosh^6 2K is near the largest float.
    """
    K = coupling_times_beta
    if abs(K) > _LARGEST_TRIANGULAR:
        msg = f"K is {K:g}; the triangular lattice is done for |K| up to {_LARGEST_TRIANGULAR:g}"
        raise ValueError(msg)
    c, s = cosh(2 * K), sinh(2 * K)
    cubes = exp(2 * K) * (c * c - c * s + s * s)  # c^3 + s^3, which cancels for K < 0

    def log_term(x: float) -> float:
        a, r = cubes - s * cos(x), 2 * abs(s * cos(x / 2))
        return log((a + sqrt(max(0.0, (a - r) * (a + r)))) / 2)

    # a = r at x = 0 at the critical point, and at 2 pi / 3 in the ground states of the antiferromagnet
    return log(2) + _integral(log_term, pi, kinks=(0.0, 2 * pi / 3)) / (2 * pi)


def _integral(f: Callable[[float], float], upper: float, *, kinks: tuple[float, ...]) -> float:
    """int_0^upper f dx, where f can change fast near ``kinks``, however fast."""
    points = sorted({kink + sign * near for kink in kinks for near in (0, 1e-2, 1e-4, 1e-6) for sign in (-1, 1)})
    points = [point for point in points if 0 < point < upper]
    value, _ = quad(f, 0, upper, points=points, epsabs=_TOLERANCE, epsrel=_TOLERANCE, limit=400)
    return float(value)
