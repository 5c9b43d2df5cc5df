"""The logarithmic gas in two dimensions at beta q^2 = 2: Ginibre's ensemble of n x n complex matrices.

J. Ginibre, J. Math. Phys. 6, 440 (1965).  With x_i = z_i sqrt(2 / (beta k)) as complex numbers,

    exp(-beta E) d^(2n)x = (2 / (beta k))^(n + n (n-1) / 2) prod_{i<j} |z_i - z_j|^2 exp(-sum_i |z_i|^2) d^(2n)z.

The product is a Vandermonde determinant squared.  The monomials z^j, j = 0 .. n-1, are orthogonal in the weight
exp(-|z|^2), with norms pi j!, so that the integral is n! prod_j pi j! = pi^n prod_{k=1}^n k!, and

    Z = pi^n prod_{k=1}^n k! (2 / (beta k_trap))^(n (n+1) / 2).

Radii: the set of |z_i|^2 is that of independent S_j, S_j with density s^j exp(-s) / j! (Kostlan, Linear Algebra Appl.
162, 385 (1992)), hence sum |z|^2 has mean sum_j (j+1) = n (n+1) / 2 and sum |z|^4 has mean
sum_j (j+1)(j+2) = n (n+1) (n+2) / 3.

Energy: the two-point density is that of a determinant, so that with phi_j = z^j / sqrt(pi j!)

    <sum_{i<j} ln |z_i - z_j|> = sum_{j>k} (direct_jk - exchange_jk).

The angular mean of ln |z - w| is ln max(|z|, |w|), and its component exp(i m angle) is -(min / max)^m / (2m).  Hence

    direct_jk   = 1/2 <ln max(S_j, S_k)>,
    exchange_jk = -P(S_j < S_k) / m,        m = j - k > 0.

S_j + S_k and B = S_j / (S_j + S_k) are independent, B with the beta density of (j+1, k+1):

    <ln max(S_j, S_k)> = digamma(j + k + 2) + <ln max(B, 1 - B)>,      P(S_j < S_k) = P(B < 1/2).

M = max(B, 1 - B) lies between 1/2 and 1, so that by parts <ln M> = -integral_{1/2}^1 P(M < b) / b db, with
P(M < b) = P(B < b) - P(B < 1 - b), a polynomial in b.
"""

from functools import lru_cache
from math import isclose, lgamma, log, pi

import numpy as np
from scipy.special import betainc, digamma

_NODES = 64  # Gauss-Legendre; the integrand is a polynomial of degree below 2n, divided by b
MAX_ENERGY_PARTICLES = 200
"""Most particles for which the mean energy is summed: n^2 / 2 integrals."""


def ginibre_applies(beta_charge_squared: float) -> bool:
    """Whether beta q^2 is 2, up to rounding."""
    return isclose(beta_charge_squared, 2.0, rel_tol=1e-12)


def ginibre_log_z(num_particles: int, beta_trap: float) -> float:
    """Ln Z of n labelled particles, n >= 1, beta_trap = beta k > 0, in units of length^(2n)."""
    n = num_particles
    factorials = sum(lgamma(k + 1) for k in range(1, n + 1))
    return n * log(pi) + factorials + n * (n + 1) / 2 * log(2 / beta_trap)


def ginibre_radii(num_particles: int, beta_trap: float) -> dict[str, float]:
    """<sum_i |x_i|^2> and <sum_i |x_i|^4>, as ``sum_r_squared`` and ``sum_r_fourth``."""
    n, unit = num_particles, 2 / beta_trap
    return {"sum_r_squared": unit * n * (n + 1) / 2, "sum_r_fourth": unit**2 * n * (n + 1) * (n + 2) / 3}


def ginibre_mean_logarithm(num_particles: int, beta_trap: float) -> float:
    """<sum_{i<j} ln |x_i - x_j|>, with |x| in the unit of length.

    Raises:
        ValueError: more than 200 particles.
    """
    if num_particles > MAX_ENERGY_PARTICLES:
        msg = f"the mean energy of {num_particles} particles was asked for; at most {MAX_ENERGY_PARTICLES} are summed"
        raise ValueError(msg)
    pairs = num_particles * (num_particles - 1) / 2
    return _reduced_mean_logarithm(num_particles) + pairs / 2 * log(2 / beta_trap)


@lru_cache(maxsize=64)
def _reduced_mean_logarithm(num_particles: int) -> float:
    """<sum_{i<j} ln |z_i - z_j|> by the double sum over orbitals."""
    total = 0.0
    for j in range(1, num_particles):
        k = np.arange(j)
        direct = (digamma(j + k + 2) + _mean_log_larger_part(j + 1, k + 1)) / 2
        total += float((direct + betainc(j + 1, k + 1, 0.5) / (j - k)).sum())
    return total


def _mean_log_larger_part(a: int, b: np.ndarray) -> np.ndarray:
    """<ln max(B, 1-B)> for B of the beta density (a, b), by parts on 1/2 .. 1."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    t = 0.75 + x / 4
    between = betainc(a, b[:, None], t) - betainc(a, b[:, None], 1 - t)
    return -np.asarray((between / t) @ (w / 4))
