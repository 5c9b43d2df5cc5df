"""Kaufman's partition function of the Ising model on an L x M torus without field.

B. Kaufman, Phys. Rev. 76, 1232 (1949), eq. 52; in the notation of Ferdinand and Fisher, Phys. Rev. 185, 832 (1969),
with K = beta J > 0, L rows and M columns:

    Z = 1/2 (2 sinh 2K)^(LM/2) (Z1 + Z2 + Z3 + Z4)
    Z1 = prod_r 2 cosh(M g_{2r+1} / 2)      Z2 = prod_r 2 sinh(M g_{2r+1} / 2)      r = 0 .. L-1
    Z3 = prod_r 2 cosh(M g_{2r} / 2)        Z4 = prod_r 2 sinh(M g_{2r} / 2)
    cosh g_l = cosh 2K coth 2K - cos(pi l / L),      g_l > 0 for l > 0,      g_0 = 2K + ln tanh K

g_0 carries its sign: it is negative above the critical temperature, and so is Z4 there.

Two rewritings keep the digits.  With s = sinh 2K, cosh 2K coth 2K = s + 1/s, hence

    sinh^2(g_l / 2) = 2 sinh^2(ln(s) / 2) + sin^2(pi l / 2L),

which has no cancellation at the critical point s = 1.  And the Z_i are summed relative to Z1, so that no lattice is too
large.  Derivatives are analytic: cosh g_l = C(K) - cos(pi l / L) gives

    sinh(g) g' = C',      sinh(g) g'' + cosh(g) g'^2 = C'',

and Z4, which passes through zero at the critical point, is differentiated as a product rather than as a logarithm.
At very low and very high temperatures, where the derivatives are small differences, ``kaufman_decimal`` takes over.
A periodic length of 2 counts each bond twice, as this formula does by itself.
"""

from dataclasses import dataclass
from math import log

import numpy as np
from jaxtyping import Float64, Int

from zoo.exact.cumulants import Cumulants
from zoo.exact.kaufman_decimal import kaufman_decimal_cumulants

_SERIES_BELOW = 1e-12  # the error of the leading order grows as K
_DIGITS_KEPT = (0.003, 1.5)  # rounding in the variance is 1e-16 / K^2 at small K, and 1e-16 exp(6K) at large
_FROZEN_ABOVE = 90.0  # exp(-8K) is below the smallest float
_MOST_DECIMAL_ROWS = 20_000  # two seconds


def kaufman_applies(rows: int, columns: int, coupling_times_beta: float) -> bool:
    """Whether the formula holds: both sides at least 2, and K >= 0 or both sides even."""
    return min(rows, columns) >= 2 and (coupling_times_beta >= 0 or rows % 2 == columns % 2 == 0)


def kaufman_log_z(rows: int, columns: int, coupling_times_beta: float) -> float:
    """Ln Z of the ``rows`` x ``columns`` torus at K = beta J, without field.

    Raises:
        ValueError: where the formula does not hold; see ``kaufman_applies``.
    """
    return kaufman_cumulants(rows, columns, coupling_times_beta).log_z


def kaufman_cumulants(rows: int, columns: int, coupling_times_beta: float) -> Cumulants:
    """Ln Z with mean and variance of the reduced energy u = -K sum_<ij> s_i s_j.

    For K < 0 and even sides a flip of one sublattice gives Z(-K) = Z(K).  Energy and variance are right to nine digits
    at any K, for a shorter side of up to 20000.

    Raises:
        ValueError: where the formula does not hold; see ``kaufman_applies``.
    """
    if not kaufman_applies(rows, columns, coupling_times_beta):
        msg = (
            f"Kaufman's formula was asked for a {rows} x {columns} torus at K = {coupling_times_beta}; it holds for "
            "sides of at least 2, and for K < 0 only when both are even"
        )
        raise ValueError(msg)
    K, sites = abs(coupling_times_beta), rows * columns
    if K < _SERIES_BELOW:
        return _leading_order(rows, columns, K)
    if K > _FROZEN_ABOVE:
        return Cumulants(2 * sites * K + log(2), -2 * sites * K, 0.0)
    if not _DIGITS_KEPT[0] < K < _DIGITS_KEPT[1] and min(rows, columns) <= _MOST_DECIMAL_ROWS:
        return kaufman_decimal_cumulants(rows, columns, K)
    boundary = _boundary_sum(rows, columns, K)
    q = 1 / _sinh(2 * K)
    log_z = boundary.log - log(2) + sites / 2 * (log(2) + _log_sinh(2 * K))
    slope = boundary.slope + sites / np.tanh(2 * K)
    curvature = boundary.curvature - 2 * sites * q * q
    return Cumulants(float(log_z), float(-K * slope), float(K * K * curvature))


def _leading_order(rows: int, columns: int, K: float) -> Cumulants:
    """Second order in K: ln Z = N ln 2 + K^2 <B^2> / 2, with B the bond sum and <B^2> = sum over pairs of (bonds)^2."""
    sites = rows * columns
    squares = sites * sum(2.0 if length == 2 else 1.0 for length in (rows, columns))
    variance = K * K * squares
    return Cumulants(sites * log(2) + variance / 2, -variance, variance)


@dataclass(frozen=True)
class _LogDerivatives:
    """ln f, (ln f)' and (ln f)'' in K."""

    log: float
    slope: float
    curvature: float


@dataclass(frozen=True)
class _Modes:
    """x_l = M g_l / 2 with its first and second derivative in K, for some l."""

    x: Float64[np.ndarray, " mode"]
    d1: Float64[np.ndarray, " mode"]
    d2: Float64[np.ndarray, " mode"]

    def log_product(self, sign: int) -> _LogDerivatives:
        """Ln prod_l (e^x + sign e^-x): 2 cosh for sign +1, 2 sinh for -1; x > 0."""
        decay = sign * np.exp(-2 * self.x)
        ratio = (1 - decay) / (1 + decay)  # tanh x or coth x
        log_f = self.x + np.log1p(decay)
        curvature = self.d2 * ratio + self.d1**2 * (1 - ratio**2)
        return _LogDerivatives(float(log_f.sum()), float((self.d1 * ratio).sum()), float(curvature.sum()))


def _boundary_sum(rows: int, columns: int, K: float) -> _LogDerivatives:
    """Ln(Z1 + Z2 + Z3 + Z4) with derivatives.

    All terms are taken relative to Z1(K) exp(b (K' - K)), with b the slope of ln Z1: then the curvature is not the
    small difference of numbers of order (LM)^2.
    """
    odd = _modes(np.arange(1, 2 * rows, 2), rows, columns, K)
    even = _modes(np.arange(2, 2 * rows, 2), rows, columns, K)
    pivot = odd.log_product(1)
    constant = np.array([1.0, 0.0, 0.0])
    log_zero, cosh_zero, sinh_zero = _zero_mode(columns, K)
    terms = [
        _relative(pivot, pivot, 0.0, constant),
        _relative(odd.log_product(-1), pivot, 0.0, constant),
        _relative(even.log_product(1), pivot, log_zero, cosh_zero),
        _relative(even.log_product(-1), pivot, log_zero, sinh_zero),
    ]
    value, d1, d2 = np.sum(terms, axis=0)
    return _LogDerivatives(
        log=float(pivot.log + np.log(value)),
        slope=float(pivot.slope + d1 / value),
        curvature=float(d2 / value - (d1 / value) ** 2),
    )


def _relative(
    product: _LogDerivatives, pivot: _LogDerivatives, log_scale: float, factor: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "3"]:
    """(f, f', f'') of f = product exp(log_scale) factor / pivot, with factor given as (value, ', '')."""
    f = np.exp(product.log + log_scale - pivot.log)
    a = product.slope - pivot.slope
    f0, f1, f2 = f, f * a, f * (product.curvature + a * a)
    z0, z1, z2 = factor
    return np.array([f0 * z0, f1 * z0 + f0 * z1, f2 * z0 + 2 * f1 * z1 + f0 * z2])


def _modes(index: Int[np.ndarray, " mode"], rows: int, columns: int, K: float) -> _Modes:
    """x_l = M g_l / 2 and its derivatives for 0 < l < 2L; with all divided by s = sinh 2K, none overflows."""
    theta = np.pi * index / rows
    log_s, q, coth = _log_sinh(2 * K), 1 / _sinh(2 * K), 1 / np.tanh(2 * K)
    with np.errstate(divide="ignore"):  # at the critical point ln s = 0, and the mode is sin^2 alone
        log_square = np.logaddexp(log(2) + 2 * _log_sinh(np.abs(log_s) / 2), 2 * np.log(np.sin(theta / 2)))
    gamma = 2 * _arcsinh_of_exp(log_square / 2)
    sinh_over_s = np.exp(gamma + np.log1p(-np.exp(-2 * gamma)) - log(2) - log_s)
    cosh_over_s = 1 + q * q - q * np.cos(theta)
    d1 = 2 * coth * (1 - q * q) / sinh_over_s
    d2 = (4 * (1 - q * q) + 8 * (coth * q) ** 2 - cosh_over_s * d1**2) / sinh_over_s
    return _Modes(columns * gamma / 2, columns * d1 / 2, columns * d2 / 2)


def _zero_mode(columns: int, K: float) -> tuple[float, Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """|x| and exp(-|x|) times the derivatives 0, 1, 2 of 2 cosh x and of 2 sinh x, for x = M g_0 / 2 with its sign."""
    q = 1 / _sinh(2 * K)
    x = columns * (2 * K + np.log(np.tanh(K))) / 2
    d1 = columns * (1 + q)
    d2 = -2 * columns * q / np.tanh(2 * K)
    cosh, sinh = 1 + np.exp(-2 * np.abs(x)), -np.sign(x) * np.expm1(-2 * np.abs(x))
    return (
        float(np.abs(x)),
        np.array([cosh, sinh * d1, cosh * d1**2 + sinh * d2]),
        np.array([sinh, cosh * d1, sinh * d1**2 + cosh * d2]),
    )


def _sinh(x: float) -> float:
    """Sinh x, infinite where it is too large for a float."""
    return float(np.sinh(x)) if x < 700 else float("inf")


def _log_sinh(x: float) -> float:
    """Ln sinh x for x >= 0, without overflow; -inf at 0."""
    return float(x + np.log(-np.expm1(-2 * x)) - log(2)) if x > 1 else float(np.log(np.sinh(x)))


def _arcsinh_of_exp(log_x: Float64[np.ndarray, " mode"]) -> Float64[np.ndarray, " mode"]:
    """arcsinh(e^log_x), which is log_x + ln 2 to double precision above e^20."""
    return np.where(log_x > 20, log_x + log(2), np.arcsinh(np.exp(np.minimum(log_x, 20))))
