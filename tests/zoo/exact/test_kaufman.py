"""Kaufman's formula against enumeration by hand, the transfer matrix, and published numbers."""

from itertools import product
from math import inf, isclose, log, sqrt

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest

from zoo.exact.cumulants import Cumulants
from zoo.exact.kaufman import kaufman_applies, kaufman_cumulants, kaufman_log_z
from zoo.exact.transfer_matrix import strip_cumulants

CRITICAL_K = log(1 + sqrt(2)) / 2
SMALL = [(3, 3), (4, 4), (3, 4), (4, 3), (2, 5), (2, 2), (5, 2)]


def enumerated(rows: int, columns: int, K: float, power: int = 0) -> float:
    """<u^power> for power > 0 and ln Z for 0, u = -K sum_<ij> s_i s_j on a torus, by numpy over all 2^N states."""
    states = 2.0 * (np.arange(2 ** (rows * columns))[:, None] >> np.arange(rows * columns) & 1) - 1
    s = states.reshape(-1, rows, columns)
    u = -K * (s * np.roll(s, 1, 1) + s * np.roll(s, 1, 2)).sum((1, 2))
    weights = np.exp(u.min() - u)
    if power == 0:
        return float(np.log(weights.sum()) - u.min())
    return float((weights * u**power).sum() / weights.sum())


@pytest.mark.parametrize(("rows", "columns"), SMALL)
@pytest.mark.parametrize("K", [1e-7, 1e-3, 0.1, 0.3, CRITICAL_K, CRITICAL_K + 1e-9, 0.6, 2.0])
def test_log_z_is_the_sum_over_all_states(rows: int, columns: int, K: float) -> None:
    assert kaufman_log_z(rows, columns, K) == pytest.approx(enumerated(rows, columns, K), abs=1e-10, rel=0)


@pytest.mark.parametrize(("rows", "columns"), SMALL)
@pytest.mark.parametrize("K", [1e-7, 1e-3, 0.1, 0.3, CRITICAL_K, CRITICAL_K + 1e-9, 0.6, 2.0])
def test_cumulants_are_those_of_the_sum(rows: int, columns: int, K: float) -> None:
    found = kaufman_cumulants(rows, columns, K)
    mean = enumerated(rows, columns, K, 1)
    assert found.mean == pytest.approx(mean, abs=1e-11)
    assert found.variance == pytest.approx(enumerated(rows, columns, K, 2) - mean**2, abs=1e-10)


def counted(rows: int, columns: int, K: float) -> Cumulants:
    """From the number of states at each bond sum, in 600 digits."""
    states = 2 * (np.arange(2 ** (rows * columns))[:, None] >> np.arange(rows * columns) & 1) - 1
    s = states.reshape(-1, rows, columns)
    bonds, counts = np.unique((s * np.roll(s, 1, 1) + s * np.roll(s, 1, 2)).sum((1, 2)), return_counts=True)
    with mpmath.workdps(600):
        k = mpmath.mpf(K)
        moments = [
            mpmath.fsum(int(g) * (int(b) * k) ** n * mpmath.exp(k * int(b)) for b, g in zip(bonds, counts, strict=True))
            for n in range(3)
        ]
        mean = moments[1] / moments[0]
        variance = moments[2] / moments[0] - mean**2
        return Cumulants(float(mpmath.log(moments[0])), -float(mean), float(variance))


TEMPERATURES = [1e-13, 1e-9, 1e-7, 1e-5, 1e-3, 2.9e-3, 3.1e-3, 0.02, 0.44, 1.0, 1.49, 1.51, 2.5, 4.0, 9.0, 50.0]


@pytest.mark.parametrize(("rows", "columns"), SMALL)
@pytest.mark.parametrize("K", TEMPERATURES)
def test_energy_and_heat_capacity_keep_nine_digits(rows: int, columns: int, K: float) -> None:
    found, expected = kaufman_cumulants(rows, columns, K), counted(rows, columns, K)
    assert found.log_z == pytest.approx(expected.log_z, rel=1e-13)
    assert found.mean == pytest.approx(expected.mean, rel=1e-9, abs=0)
    assert found.variance == pytest.approx(expected.variance, rel=1e-9, abs=0)


def test_large_tori_are_cold_by_single_flips_and_pairs() -> None:
    # N exp(-8K) single flips, 2N pairs at exp(-12K), and squares and others beyond
    for K in (4.0, 10.0, 30.0):
        found, sites = kaufman_cumulants(300, 200, K), 60_000
        expected = sites * K * K * (64 * np.exp(-8 * K) + 2 * 144 * np.exp(-12 * K))
        assert found.variance == pytest.approx(expected, rel=max(1e-9, 40 * np.exp(-8 * K)), abs=0)


@pytest.mark.parametrize("K", [0.1, 0.44, CRITICAL_K, 1.0])
def test_log_z_of_8x8_is_the_transfer_matrix(K: float) -> None:
    kaufman, strip = kaufman_cumulants(8, 8, K), strip_cumulants(8, 8, K, 0.0, periodic=True)
    assert kaufman.log_z == pytest.approx(strip.log_z, abs=1e-10, rel=0)
    assert kaufman.mean == pytest.approx(strip.mean, abs=1e-10)
    assert kaufman.variance == pytest.approx(strip.variance, abs=1e-10)


@pytest.mark.parametrize(
    ("rows", "columns", "K", "beta_f"),
    [(8, 8, 0.44, -60.07630753), (16, 16, CRITICAL_K, -238.642256635), (16, 16, 0.6, -310.487038590)],
)
def test_log_z_is_the_published_number(rows: int, columns: int, K: float, beta_f: float) -> None:
    assert -kaufman_log_z(rows, columns, K) == pytest.approx(beta_f, abs=6e-9, rel=0)


def _log_z_with_absolute_zero_mode(rows: int, columns: int, K: float) -> float:
    """The published mistake: |g_0| in place of g_0, which makes Z4 positive above the critical temperature."""

    def term(index: range, sign: int) -> float:
        total = 0.0
        for k in index:
            cosh = np.cosh(2 * K) / np.tanh(2 * K) - np.cos(np.pi * k / rows)
            gamma = np.arccosh(cosh) if k else abs(2 * K + np.log(np.tanh(K)))
            total += np.log(np.exp(columns * gamma / 2) + sign * np.exp(-columns * gamma / 2))
        return float(total)

    odd, even = range(1, 2 * rows, 2), range(0, 2 * rows, 2)
    terms = [term(index, sign) for index, sign in product((odd, even), (1, -1))]
    return float(rows * columns / 2 * np.log(2 * np.sinh(2 * K)) - log(2) + np.logaddexp.reduce(terms))


def test_a_zero_mode_without_its_sign_is_caught_above_the_critical_temperature() -> None:
    below, above = 0.6, 0.1
    assert _log_z_with_absolute_zero_mode(4, 4, below) == pytest.approx(enumerated(4, 4, below), abs=1e-10)
    assert _log_z_with_absolute_zero_mode(4, 4, above) > enumerated(4, 4, above) + 0.1
    assert kaufman_log_z(4, 4, above) == pytest.approx(enumerated(4, 4, above), abs=1e-10)


@pytest.mark.parametrize("K", [0.05, CRITICAL_K, 0.7])
def test_rows_and_columns_can_be_exchanged(K: float) -> None:
    one, other = kaufman_cumulants(13, 64, K), kaufman_cumulants(64, 13, K)
    assert one.log_z == pytest.approx(other.log_z, abs=1e-10)
    assert one.variance == pytest.approx(other.variance, abs=1e-8)


def test_large_lattices_at_low_temperature_have_two_ground_states() -> None:
    K, sites = 2.0, 256 * 256
    excitations = sites * np.exp(-8 * K)  # single flips cost 8 J; pairs are rarer by exp(-4 K)
    found = kaufman_cumulants(256, 256, K)
    assert found.log_z == pytest.approx(2 * sites * K + log(2) + excitations, abs=4e-5)
    frozen = kaufman_cumulants(64, 64, 1000.0)
    assert (frozen.log_z, frozen.mean, frozen.variance) == pytest.approx((8192e3 + log(2), -8192e3, 0.0))


@pytest.mark.parametrize("size", [8, 64])
@pytest.mark.parametrize("K", [0.3, CRITICAL_K - 1e-6, CRITICAL_K, CRITICAL_K + 1e-6, 0.5])
def test_cumulants_are_derivatives_of_log_z(size: int, K: float) -> None:
    # five-point stencils: error h^4 f^(5) / 30 and rounding 1e-16 ln Z / h, both below 1e-7 of the derivative
    h = 2e-4 * 8 / size
    f = [kaufman_log_z(size, size, K + i * h) for i in range(-2, 3)]
    slope = (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * h)
    mean = kaufman_cumulants(size, size, K).mean
    assert mean == pytest.approx(-K * slope, rel=1e-7)
    g = [-kaufman_cumulants(size, size, K + i * h).mean / (K + i * h) for i in range(-2, 3)]
    curvature = (g[0] - 8 * g[1] + 8 * g[3] - g[4]) / (12 * h)
    assert kaufman_cumulants(size, size, K).variance == pytest.approx(K * K * curvature, rel=1e-6)


def test_energy_at_the_critical_point_approaches_onsagers() -> None:
    # Onsager: u = -sqrt 2 J; Ferdinand and Fisher 1969: the correction of a square torus is -0.622 J / L to this order
    size = 256
    energy = kaufman_cumulants(size, size, CRITICAL_K).mean / (CRITICAL_K * size**2)
    assert energy == pytest.approx(-sqrt(2) - 0.622 / size, abs=2e-5)


@pytest.mark.parametrize("K", [0.2, 0.9])
def test_antiferromagnets_with_even_sides_equal_ferromagnets(K: float) -> None:
    assert kaufman_cumulants(4, 4, -K) == kaufman_cumulants(4, 4, K)
    assert kaufman_log_z(2, 4, -K) == pytest.approx(enumerated(2, 4, -K), abs=1e-10)


def test_no_coupling_leaves_two_states_for_each_spin() -> None:
    assert kaufman_cumulants(5, 7, 0.0) == Cumulants(35 * log(2), 0.0, 0.0)
    assert isclose(kaufman_log_z(5, 7, 1e-300), 35 * log(2))


@pytest.mark.parametrize(("rows", "columns", "K"), [(3, 4, -0.1), (1, 5, 0.3), (5, 5, -inf)])
def test_where_the_formula_does_not_hold_it_refuses(rows: int, columns: int, K: float) -> None:
    assert not kaufman_applies(rows, columns, K)
    with pytest.raises(ValueError, match=f"{rows} x {columns}"):
        kaufman_log_z(rows, columns, K)
