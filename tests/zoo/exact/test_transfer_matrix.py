"""Transfer matrices against enumeration by hand, closed forms and Kaufman, for every boundary and sign."""

from math import acosh, cosh, exp, log, sinh, sqrt

import numpy as np
import pytest

from zoo.exact import transfer_matrix
from zoo.exact.cumulants import Cumulants
from zoo.exact.kaufman import kaufman_cumulants
from zoo.exact.rows import orbits, row_states
from zoo.exact.transfer_matrix import strip_applies, strip_cumulants


def enumerated(width: int, length: int, K: float, b: float, *, periodic: bool, double_bonds: bool = True) -> Cumulants:
    """By numpy over all 2^N states, bond by bond.  ``double_bonds`` False is the wrong rule for periodic sides of 2."""
    states = 2.0 * (np.arange(2 ** (width * length))[:, None] >> np.arange(width * length) & 1) - 1
    u = -b * states.sum(1)
    s = states.reshape(-1, width, length)
    for i in range(width):
        for j in range(length):
            for k, m in ((i + 1, j), (i, j + 1)):
                wraps = k == width or m == length
                side = width if k > i else length
                if (wraps and not periodic) or side == 1 or (wraps and side == 2 and not double_bonds):
                    continue
                u -= K * s[:, i, j] * s[:, k % width, m % length]
    weights = np.exp(u.min() - u)
    mean = float((weights * u).sum() / weights.sum())
    variance = float((weights * (u - mean) ** 2).sum() / weights.sum())
    return Cumulants(float(np.log(weights.sum()) - u.min()), mean, variance)


def assert_close(found: Cumulants, expected: Cumulants, tolerance: float = 1e-10) -> None:
    assert found.log_z == pytest.approx(expected.log_z, abs=tolerance, rel=0)
    assert found.mean == pytest.approx(expected.mean, abs=tolerance)
    assert found.variance == pytest.approx(expected.variance, abs=tolerance)


# widths up to 6 square the matrix, from 7 on they go orbit by orbit or row by row
SHAPES = [(1, 1), (1, 2), (1, 9), (2, 2), (2, 5), (3, 3), (3, 4), (4, 3), (7, 1), (7, 2), (8, 2), (9, 1)]


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("K", "b"), [(0.0, 0.3), (0.4, 0.0), (-0.7, 0.0), (0.4, -0.2), (-1.5, 0.9), (3.0, 0.1)])
@pytest.mark.parametrize(("width", "length"), SHAPES)
def test_strips_are_the_sum_over_all_states(width: int, length: int, K: float, b: float, *, periodic: bool) -> None:
    expected = enumerated(width, length, K, b, periodic=periodic)
    assert_close(strip_cumulants(width, length, K, b, periodic=periodic), expected)


def test_counting_the_bond_of_a_periodic_pair_once_is_caught() -> None:
    once = enumerated(2, 3, 0.4, 0.1, periodic=True, double_bonds=False)
    assert abs(strip_cumulants(2, 3, 0.4, 0.1, periodic=True).log_z - once.log_z) > 0.1


@pytest.mark.parametrize("N", [2, 3, 10, 1000, 1_000_000])
@pytest.mark.parametrize(("K", "b"), [(0.5, 0.2), (-0.8, 0.3), (2.0, 0.0)])
def test_rings_are_isings_closed_form(N: int, K: float, b: float) -> None:
    root = sqrt(exp(2 * K) * sinh(b) ** 2 + exp(-2 * K))
    large, small = exp(K) * cosh(b) + root, exp(K) * cosh(b) - root
    expected = N * log(large) + log(1 + np.sign(small) ** N * (abs(small) / large) ** N)
    assert strip_cumulants(1, N, K, b, periodic=True).log_z == pytest.approx(expected, rel=1e-12, abs=1e-10)


@pytest.mark.parametrize("N", [2, 17, 100_000])
def test_open_chains_without_field_are_independent_bonds(N: int) -> None:
    K = 0.7
    found = strip_cumulants(1, N, K, 0.0, periodic=False)
    assert found.log_z == pytest.approx(log(2) + (N - 1) * log(2 * cosh(K)), rel=1e-12)
    assert found.mean == pytest.approx(-(N - 1) * K * np.tanh(K), rel=1e-11)
    assert found.variance == pytest.approx((N - 1) * (K / cosh(K)) ** 2, rel=1e-9)


@pytest.mark.parametrize(("width", "length"), [(5, 40), (8, 12), (10, 10)])
@pytest.mark.parametrize("K", [0.2, 0.5])
def test_tori_without_field_are_kaufmans(width: int, length: int, K: float) -> None:
    assert_close(strip_cumulants(width, length, K, 0.0, periodic=True), kaufman_cumulants(width, length, K), 1e-9)


@pytest.mark.parametrize("periodic", [True, False])
def test_width_and_length_can_be_exchanged(*, periodic: bool) -> None:
    one = strip_cumulants(6, 9, -0.6, 0.25, periodic=periodic)
    assert_close(strip_cumulants(9, 6, -0.6, 0.25, periodic=periodic), one, 1e-9)


def test_a_frustrated_odd_torus_keeps_its_digits() -> None:
    # odd sides and J < 0: each row and column has an unsatisfied bond; eigenvalues of both signs would cancel here
    assert_close(strip_cumulants(3, 5, -6.0, 0.0, periodic=True), enumerated(3, 5, -6.0, 0.0, periodic=True))
    one, other = (strip_cumulants(*sides, -6.0, 0.0, periodic=True) for sides in ((7, 5), (5, 7)))
    assert_close(one, other, 1e-9)


@pytest.mark.parametrize(("K", "b"), [(0.4, 0.1), (-0.5, 0.0), (-0.4, 0.6), (2.0, 0.0), (0.4, 3.0)])
@pytest.mark.parametrize("width", [7, 8])
def test_long_tori_by_their_spectrum_agree_with_orbits(
    width: int, K: float, b: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_spectrum = strip_cumulants(width, 42, K, b, periodic=True)
    monkeypatch.setattr(transfer_matrix, "_MAX_ORBIT_LENGTH", 42)
    assert_close(strip_cumulants(width, 42, K, b, periodic=True), by_spectrum, 1e-9)


@pytest.mark.parametrize("length", [41, 1000])
def test_long_tori_without_field_are_kaufmans(length: int) -> None:
    assert_close(strip_cumulants(9, length, 0.44, 0.0, periodic=True), kaufman_cumulants(9, length, 0.44), 1e-7)


def test_a_long_frustrated_torus_of_odd_length_has_its_ground_state_energy() -> None:
    found = strip_cumulants(7, 41, -4.0, 0.0, periodic=True)
    # each of the 7 columns and 41 rows keeps one unsatisfied bond: E_0 = -J (2 N - 2 (7 + 41))
    assert found.mean == pytest.approx(-4.0 * (2 * 7 * 41 - 2 * (7 + 41)), abs=1.0)


@pytest.mark.parametrize(("with_reflection", "with_flip"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("width", [1, 2, 5, 6])
def test_orbits_cover_all_rows(width: int, *, with_reflection: bool, with_flip: bool) -> None:
    rows, sizes = orbits(width, with_reflection=with_reflection, with_flip=with_flip)
    assert sizes.sum() == 2**width
    spins = row_states(width)
    classes = set()
    for row in spins.astype(int).tolist():
        images = [row[i:] + row[:i] for i in range(width)]
        images += [image[::-1] for image in images] if with_reflection else []
        images += [[-s for s in image] for image in images] if with_flip else []
        classes.add(min(map(tuple, images)))
    assert len(rows) == len(classes)


def test_width_14_open_agrees_with_its_own_transpose() -> None:
    narrow = strip_cumulants(6, 14, 0.44, 0.1, periodic=False)
    assert_close(strip_cumulants(14, 6, 0.44, 0.1, periodic=False), narrow, 1e-9)


def test_onsager_free_energy_per_site_is_approached_by_long_strips() -> None:
    # ln Z per column of an infinite cylinder of circumference w, high temperature: w f_inf + O(exp(-w / xi))
    K, width = 0.15, 10
    short, long = (strip_cumulants(width, length, K, 0.0, periodic=True).log_z for length in (50, 70))
    per_site = (long - short) / (20 * width)
    k = np.linspace(0, np.pi, 20001)[1::2]
    gamma = [acosh(cosh(2 * K) / np.tanh(2 * K) - np.cos(q)) for q in k]
    onsager = 0.5 * log(2 * sinh(2 * K)) + 0.5 * float(np.mean(gamma))
    assert per_site == pytest.approx(onsager, abs=1e-6)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("K", "b"), [(200.0, 0.0), (-300.0, 50.0), (1e3, -0.7), (1e9, 2e8), (0.2, 1e9), (-1e9, 0.0)])
@pytest.mark.parametrize(("width", "length"), [(1, 2), (1, 7), (3, 4), (4, 1), (7, 2), (2, 7)])
def test_cold_strips_are_the_sum_over_all_states(
    width: int, length: int, K: float, b: float, *, periodic: bool
) -> None:
    found, expected = (f(width, length, K, b, periodic=periodic) for f in (strip_cumulants, enumerated))
    assert found.log_z == pytest.approx(expected.log_z, abs=1e-10, rel=1e-14)
    assert found.mean == pytest.approx(expected.mean, abs=1e-10, rel=1e-14)
    assert found.variance == pytest.approx(expected.variance, abs=1e-10)


@pytest.mark.parametrize("N", [3, 1001, 999_999])
@pytest.mark.parametrize("K", [20.0, 1e5])
def test_a_cold_frustrated_ring_has_2n_ground_states(N: int, K: float) -> None:
    found = strip_cumulants(1, N, -K, 0.0, periodic=True)
    assert found.log_z == pytest.approx((N - 2) * K + log(2 * N), rel=1e-14, abs=1e-6 if K == 20 else 0)
    assert found.mean == pytest.approx(-(N - 2) * K, rel=1e-9)


@pytest.mark.parametrize("K", [1e-9, 1e-3, 5.0, 12.0])
def test_variances_of_rings_keep_their_digits(K: float) -> None:
    N = 10
    # Z = (2 cosh K)^N (1 + tanh^N K): independent bonds when hot, and two walls, N (N - 1) / 2 exp(-4K), when cold
    found = strip_cumulants(1, N, K, 0.0, periodic=True).variance
    expected = N * (K / cosh(K)) ** 2 if K < 1 else N * (N - 1) / 2 * (4 * K) ** 2 * exp(-4 * K)
    assert found == pytest.approx(expected, rel=1e-6)


def test_wide_cold_strips_go_site_by_site() -> None:
    # 14 x 5, each spin in its field: -u = K (bonds) + b N for K, b > 0
    found = strip_cumulants(14, 5, 40.0, 10.0, periodic=False)
    assert found.log_z == pytest.approx(40 * (13 * 5 + 14 * 4) + 10 * 70, rel=1e-14)
    torus = strip_cumulants(7, 8, 100.0, 1.0, periodic=True)
    assert torus.log_z == pytest.approx(112 * 100.0 + 56, rel=1e-14)


def test_odd_long_antiferromagnets_go_by_the_spectrum_while_nothing_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    warm, cold = (strip_cumulants(7, 43, K, 0.0, periodic=True) for K in (-0.2, -1.5))
    with monkeypatch.context() as patch:
        patch.setattr(transfer_matrix, "_MAX_ORBIT_LENGTH", 43)
        assert_close(strip_cumulants(7, 43, -0.2, 0.0, periodic=True), warm, 1e-9)
        assert_close(strip_cumulants(7, 43, -1.5, 0.0, periodic=True), cold, 1e-9)
    monkeypatch.setattr(transfer_matrix, "MAX_ORBIT_OPERATIONS", 1e6)
    assert strip_cumulants(7, 10_001, -0.2, 0.0, periodic=True).log_z > 0  # its time does not grow with the length
    with pytest.raises(
        ValueError, match=r"frustrated torus of width 8 and length 10001 .* multiplications, of at most"
    ):
        strip_cumulants(8, 10_001, -1.5, 0.0, periodic=True)


@pytest.mark.parametrize(
    ("width", "length", "K", "b"), [(15, 15, 0.4, 0.0), (0, 3, 0.1, 0), (3, 0, 0.1, 0), (3, 4, 1e99, 0.0)]
)
def test_what_is_too_wide_or_no_strip_is_refused(width: int, length: int, K: float, b: float) -> None:
    with pytest.raises(ValueError, match=f"width {width} and length {length}"):
        strip_cumulants(width, length, K, b, periodic=True)


def test_what_is_too_wide_and_too_cold_is_refused() -> None:
    assert strip_applies(14, 10.0, 1.0)
    assert not strip_applies(14, 20.0, 1.0)
    with pytest.raises(ValueError, match=r"196 spins take .* at most 2\^33.5 steps"):
        strip_cumulants(14, 14, 20.0, 1.0, periodic=True)
