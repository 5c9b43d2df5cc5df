"""Infinite lattices against large finite ones, derivatives, and published numbers."""

from math import exp, inf, log, pi, sqrt

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest

from zoo.exact.kaufman import kaufman_cumulants
from zoo.exact.onsager import (
    SQUARE_CRITICAL_K,
    TRIANGULAR_CRITICAL_K,
    onsager_cumulants,
    spontaneous_magnetization,
    triangular_log_z,
)
from zoo.exact.triangular_strip import triangular_strip_cumulants

CATALAN = 0.915965594177219


@pytest.mark.parametrize("K", [0.0, 1e-6, 0.1, 0.35, 0.55, 1.0, 5.0, 40.0, -0.3])
def test_large_tori_approach_the_square_lattice(K: float) -> None:
    size = 256  # far larger than the correlation length at these couplings
    sites, torus, limit = size * size, kaufman_cumulants(size, size, K), onsager_cumulants(K)
    ground_states = log(2) if abs(K) > SQUARE_CRITICAL_K else 0.0
    assert limit.log_z == pytest.approx((torus.log_z - ground_states) / sites, abs=1e-12, rel=1e-13)
    assert limit.mean == pytest.approx(torus.mean / sites, abs=1e-12, rel=1e-12)
    assert limit.variance == pytest.approx(torus.variance / sites, abs=1e-11)


@pytest.mark.parametrize("K", [0.2, 0.43, 0.4406, 0.4408, 0.6])
def test_energy_and_specific_heat_are_derivatives(K: float) -> None:
    h = abs(K - SQUARE_CRITICAL_K) * 1e-3
    values = [onsager_cumulants(K + i * h) for i in (-2, -1, 1, 2)]
    slope = sum(w * v.log_z for w, v in zip((1, -8, 8, -1), values, strict=True)) / (12 * h)
    assert onsager_cumulants(K).mean == pytest.approx(-K * slope, rel=1e-6)
    energies = [-v.mean / (K + i * h) for i, v in zip((-2, -1, 1, 2), values, strict=True)]
    curvature = sum(w * e for w, e in zip((1, -8, 8, -1), energies, strict=True)) / (12 * h)
    assert onsager_cumulants(K).variance == pytest.approx(K * K * curvature, rel=1e-7)


def test_the_critical_point_is_onsagers() -> None:
    critical = onsager_cumulants(SQUARE_CRITICAL_K)
    assert critical.log_z == pytest.approx(log(2) / 2 + 2 * CATALAN / pi, abs=1e-13)
    assert critical.mean == pytest.approx(-sqrt(2) * SQUARE_CRITICAL_K, abs=1e-12)
    assert critical.variance == inf
    near, nearer = (onsager_cumulants(SQUARE_CRITICAL_K * (1 - gap)).variance for gap in (1e-4, 1e-6))
    # C = -(8 / pi) K_c^2 ln |1 - T / T_c| + const
    assert nearer - near == pytest.approx(8 / pi * SQUARE_CRITICAL_K**2 * log(100), rel=1e-3)


@pytest.mark.parametrize("K", [1e-9, 1e-6, 1e-3, 0.0199, 0.0201, 0.1, 0.4, 0.5, 1.5, 1.94, 1.97, 4.0, 12.0, 50.0])
def test_energy_and_specific_heat_keep_their_digits(K: float) -> None:
    with mpmath.workdps(500):
        k, t = mpmath.mpf(K), mpmath.tanh(2 * mpmath.mpf(K))
        root = 2 * t * t - 1
        first, second = mpmath.ellipk(1 - root**2), mpmath.ellipe(1 - root**2)
        mean = -k / t * (1 + 2 / mpmath.pi * root * first)
        bracket = 2 * first - 2 * second - (1 - root) * (mpmath.pi / 2 + root * first)
        variance = 2 / mpmath.pi * (k / t) ** 2 * bracket
    found = onsager_cumulants(K)
    assert found.mean == pytest.approx(float(mean), rel=1e-12, abs=0)
    assert found.variance == pytest.approx(float(variance), rel=1e-9, abs=0)


def test_magnetization_is_yangs() -> None:
    assert spontaneous_magnetization(0.44) == 0.0
    assert spontaneous_magnetization(0.5) == pytest.approx(0.911319, abs=1e-6)
    assert spontaneous_magnetization(-100.0) == 1.0
    # low temperature: 1 - 2 x^4 - 8 x^6, x = exp(-2K)
    x = exp(-2 * 1.2)
    assert spontaneous_magnetization(1.2) == pytest.approx(1 - 2 * x**4 - 8 * x**6, abs=50 * x**8)


@pytest.mark.parametrize("K", [-0.4, -0.1, 0.05, 0.15, 0.45, 2.0])
def test_long_strips_approach_the_triangular_lattice(K: float) -> None:
    # two lengths of a cylinder of circumference 9, whose largest eigenvalue differs by exp(-9 / xi)
    short, long = (triangular_strip_cumulants(9, length, K, 0.0, periodic=True).log_z for length in (40, 60))
    assert (long - short) / 180 == pytest.approx(triangular_log_z(K), abs=3e-5)


@pytest.mark.parametrize("K", [-1.0, 0.1, TRIANGULAR_CRITICAL_K - 0.02, 0.5])
def test_the_double_integral_is_the_same(K: float) -> None:
    x = (np.arange(600) + 0.5) * 2 * np.pi / 600
    c, s = np.cosh(2 * K), np.sinh(2 * K)
    y = c**3 + s**3 - s * (np.cos(x)[:, None] + np.cos(x) + np.cos(x[:, None] + x))
    assert triangular_log_z(K) == pytest.approx(log(2) + float(np.log(y).mean()) / 2, abs=1e-7)


def test_triangular_numbers_are_the_published_ones() -> None:
    h, K = 1e-5, TRIANGULAR_CRITICAL_K
    slope = (triangular_log_z(K + h) - triangular_log_z(K - h)) / (2 * h)
    assert slope == pytest.approx(2.0, abs=1e-6)  # E = -2 J at the critical point
    assert triangular_log_z(-25.0) - 25.0 == pytest.approx(
        0.323066, abs=1e-6
    )  # Wannier's entropy of the antiferromagnet
    with pytest.raises(ValueError, match="up to 50"):
        triangular_log_z(51.0)
