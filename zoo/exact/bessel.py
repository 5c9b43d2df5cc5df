"""Modified Bessel functions I_n(K) of whole order in logarithms, with derivatives in K that keep their digits.

I_n(K) = (1 / 2 pi) int exp(K cos t) cos(n t) dt is the n-th Fourier coefficient of the weight of two planar spins or of
a plaquette.  Powers of it are summed over n relative to the largest, so only ln I_n(K) - K is ever needed.

Derivatives: with r = I_n' / I_n = (I_(n-1) + I_(n+1)) / (2 I_n), Bessel's equation gives

    (ln I_n)' = r,      (ln I_n)'' = 1 + n^2 / K^2 - r / K - r^2,

where for large K the terms cancel to 1 / (2 K^2).  There Debye's expansion takes over, uniform in n (DLMF 10.41.3):

    ln I_n = q - n asinh(n / K) - 1/2 ln(2 pi q) + ln(1 + sum_k c_k),     q = sqrt(n^2 + K^2),
    c_k = U_k(n / q) / n^k = sum_j a_kj n^(2 j) / q^(k + 2 j),

differentiated term by term with d/dK [q - n asinh(n / K)] = q / K and dq/dK = K / q.  Three terms leave c_4 < 2e-13.
"""

from dataclasses import dataclass
from math import log, pi

import numpy as np
from jaxtyping import Float64
from scipy.special import ive

from zoo.exact.cumulants import Cumulants

MAX_ARGUMENT = 1e9
"""Largest K: a sum over n has some sqrt(K) terms."""

_DEBYE_FROM = 1000.0
_LEAST_ARGUMENT = 1e-100  # below, all cumulants but ln Z are zero in any case, and 1 / K^2 stays a number
_MOST_CANCELLED = 1e-5  # an alternating sum this small, relative to its terms, has lost five of its sixteen digits
_SMALLEST = 1e-280  # smaller scaled values are left out: they are no part of any sum
_LOG_NEGLIGIBLE = 50.0  # exp(-50) of the largest term
_DEBYE = ((3 / 24, -5 / 24), (81 / 1152, -462 / 1152, 385 / 1152), (30375 / 414720, -369603 / 414720, 765765 / 414720))
_DEBYE_LAST = -425425 / 414720

Orders = Float64[np.ndarray, " order"]


@dataclass(frozen=True)
class LogBessel:
    """ln I_n(K) - K, and (ln I_n)' - ``base`` and (ln I_n)'' in K, for n = 0 .. as far as terms matter.

    ``base`` is 1 for large K, which the slopes approach, and 0 for small K, where I_0' does.
    """

    log: Orders
    slope: Orders
    curvature: Orders
    base: float

    def weights(self, power: int) -> Orders:
        """(I_n / I_0)^power, times 2 for n > 0, since I_(-n) = I_n."""
        both = np.where(np.arange(len(self.log)) == 0, 1.0, 2.0)
        return np.asarray(both * np.exp(power * (self.log - self.log[0])))


def power_sum_cumulants(K: float, power: int, *, alternating: bool = False) -> Cumulants:
    """Ln Z with mean and variance of u for Z(t) = sum_n I_n(t K)^power over all whole n, at t = 1; K >= 0.

    ``alternating`` multiplies the terms by (-1)^n.  mean = -K d ln Z / dK, variance = K^2 d^2 ln Z / dK^2.

    Raises:
        ValueError: K above 1e9, or an alternating sum whose terms cancel.
    """
    K = max(K, _LEAST_ARGUMENT)
    bessel = log_bessel(K, power)
    weights = bessel.weights(power)
    signed = weights * (-1.0) ** np.arange(len(weights)) if alternating else weights
    total = float(signed.sum())
    if total < _MOST_CANCELLED * weights.sum():
        msg = f"the terms (-1)^n I_n(K)^{power} at K = {K:g} cancel to {total / weights.sum():.1g} of their size"
        raise ValueError(msg)
    p = signed / total
    slope = float(p @ bessel.slope)
    spread = float(p @ (bessel.slope - slope) ** 2)
    curvature = power * float(p @ bessel.curvature) + power * power * spread
    log_z = power * (float(bessel.log[0]) + K) + log(total)
    return Cumulants(log_z, -K * power * (bessel.base + slope), K * K * curvature)


def log_bessel(K: float, power: int) -> LogBessel:
    """The orders n >= 0 that matter in sum_n I_n(K)^power, for 0 < K <= 1e9.

    Raises:
        ValueError: K outside this range.
    """
    if not 0 < K <= MAX_ARGUMENT:
        msg = f"Bessel functions of K = {K:g} were asked for; 0 < K <= {MAX_ARGUMENT:g} was expected"
        raise ValueError(msg)
    # I_n / I_0 <= exp(-n^2 / (2 K + 2 n)): a bound that is generous for all n and K
    reach = _LOG_NEGLIGIBLE / power
    highest = int(reach + np.sqrt(reach * reach + 2 * K * reach)) + 2
    n = np.arange(highest + 1, dtype=np.float64)
    return _by_debye(n, K) if K >= _DEBYE_FROM else _by_recurrence(n, K)


def _by_recurrence(n: Orders, K: float) -> LogBessel:
    scaled = ive(np.arange(len(n) + 1), K)
    kept = int((scaled[:-1] > _SMALLEST).sum())  # I_n falls with n
    value, above = scaled[:kept], scaled[1 : kept + 1]
    ratio = above / value + n[:kept] / K  # I_n' = I_(n+1) + n I_n / K
    curvature = 1 + (n[:kept] / K) ** 2 - ratio / K - ratio**2
    return LogBessel(np.log(value), ratio, curvature, 0.0)


def _by_debye(n: Orders, K: float) -> LogBessel:
    q = np.hypot(n, K)
    beyond = n * n / (q + K)  # q - K
    series = _debye_series(n, q, K)
    c1, c2 = series[1:] / (1 + series[0])
    log = beyond - n * np.arcsinh(n / K) - np.log(2 * pi * q) / 2 + np.log1p(series[0])
    slope = beyond / K - K / (2 * q * q) + c1
    curvature = -n * n / (q * K * K) - 1 / (2 * q * q) + K * K / q**4 + c2 - c1 * c1
    return LogBessel(log, slope, curvature, 1.0)


def _debye_series(n: Orders, q: Orders, K: float) -> Float64[np.ndarray, "3 order"]:
    """sum_k c_k with its first two derivatives in K: dq^-m/dK = -m K q^(-m-2)."""
    total = np.zeros((3, len(n)))
    for k, row in enumerate((_DEBYE[0], _DEBYE[1], (*_DEBYE[2], _DEBYE_LAST)), start=1):
        for j, a in enumerate(row):
            m = k + 2 * j
            term = a * (n / q) ** (2 * j) / q**k
            total += term * np.stack([np.ones_like(q), -m * K / q**2, (m * (m + 2) * K * K / q**2 - m) / q**2])
    return total
