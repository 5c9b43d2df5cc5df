"""XY chains and the Bessel functions behind them, against convolutions on the circle, quadrature and limits."""

from math import cos, log, nan, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.special import ive

from zoo.exact.bessel import _by_debye, _by_recurrence, log_bessel, power_sum_cumulants
from zoo.exact.circle_convolution import log_power_sum, ring_cumulants
from zoo.exact.quadrature import plane_cumulants
from zoo.exact.xy import exact_reference, xy_chain_cumulants
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.targets.xy import XYSpec
from zoo.targets.xy import XY


@pytest.mark.parametrize("K", [1e-6, 0.3, 1.0, 7.0, 80.0])
@pytest.mark.parametrize("length", [2, 3, 8, 65, 1000])
def test_rings_are_convolutions_on_the_circle(K: float, length: int) -> None:
    expected = log_power_sum(K, length) + length * log(2 * pi)
    assert xy_chain_cumulants(length, K, periodic=True).log_z == pytest.approx(expected, rel=1e-13, abs=1e-12)


@pytest.mark.parametrize(("K", "length"), [(-0.4, 3), (-2.0, 5), (-5.0, 7), (-3.0, 4), (-80.0, 6)])
def test_frustrated_rings_are_convolutions_on_the_circle(K: float, length: int) -> None:
    expected = log_power_sum(K, length) + length * log(2 * pi)
    assert xy_chain_cumulants(length, K, periodic=True).log_z == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("K", "length"), [(-2.0, 3), (-4.0, 5), (-9.0, 8), (3.0, 7)])
def test_convolutions_have_the_energies_of_the_bessel_sum(K: float, length: int) -> None:
    found = ring_cumulants(K, length)
    expected = power_sum_cumulants(abs(K), length, alternating=K < 0 and length % 2 == 1)
    assert found.log_z == pytest.approx(expected.log_z, abs=1e-10)
    assert found.mean == pytest.approx(expected.mean, rel=1e-10)
    assert found.variance == pytest.approx(expected.variance, rel=1e-9)


@pytest.mark.parametrize(("K", "length"), [(-100.0, 5), (-300.0, 9), (-60.0, 3)])
def test_cold_frustrated_rings_are_convolutions_on_the_circle(K: float, length: int) -> None:
    expected = log_power_sum(K, length) + length * log(2 * pi)
    found = xy_chain_cumulants(length, K, periodic=True)
    assert found.log_z == pytest.approx(expected, rel=1e-12)
    h = 1e-4
    f = [log_power_sum(K * (1 + i * h), length) for i in (-2, -1, 1, 2)]
    assert found.mean == pytest.approx(-(f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h), rel=1e-7)


@pytest.mark.parametrize(("K", "length"), [(1e4, 5), (3e3, 31)])
def test_frozen_frustrated_rings_turn_by_pi_over_n_at_each_bond(K: float, length: int) -> None:
    # two senses of rotation, each harmonic with the stiffness K cos(pi / N)
    found, stiff = xy_chain_cumulants(length, -K, periodic=True), K * cos(pi / length)
    harmonic = (
        length * stiff + log(2) + log(2 * pi * sqrt(length)) + (length - 1) / 2 * log(2 * pi / stiff) - log(length)
    )
    assert found.log_z == pytest.approx(harmonic, abs=3 * length / K)
    assert found.mean == pytest.approx(-length * stiff + (length - 1) / 2, abs=3 * length / K)
    assert found.variance == pytest.approx((length - 1) / 2, rel=1e-2)
    with pytest.raises(ValueError, match="at least 2"):
        ring_cumulants(1.0, 1)


def test_a_frustrated_ring_without_its_signs_is_caught() -> None:
    assert abs(power_sum_cumulants(2.0, 5).log_z - log_power_sum(-2.0, 5)) > 0.1


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("J", "beta"), [(1.0, 0.5), (-2.0, 1.0), (1.0, 30.0)])
def test_two_sites_are_the_plane_integral(shape: tuple[int, ...], J: float, beta: float, *, periodic: bool) -> None:
    target = XY(XYSpec(shape=shape, J=J, periodic=periodic))
    expected = plane_cumulants(
        lambda x: beta * target.energy(torch.from_numpy(x).reshape(-1, *shape)).numpy(), (-pi, -pi), (pi, pi)
    )
    found = target.exact_reference(beta)
    assert found.beta_f == pytest.approx(-expected.log_z, abs=1e-10)
    assert found.observables["energy_per_site"] == pytest.approx(expected.mean / beta / 2, abs=1e-10)
    assert found.observables["heat_capacity_per_site"] == pytest.approx(expected.variance / 2, abs=1e-10)


@pytest.mark.parametrize(("K", "length"), [(0.2, 6), (1.5, 6), (12.0, 4), (700.0, 5), (5e4, 5), (-2.0, 5)])
@pytest.mark.parametrize("periodic", [True, False])
def test_cumulants_are_derivatives_of_log_z(K: float, length: int, *, periodic: bool) -> None:
    h = 1e-2
    f = [xy_chain_cumulants(length, K * (1 + i * h), periodic=periodic).log_z for i in range(-2, 3)]
    g = [xy_chain_cumulants(length, K * (1 + i * h), periodic=periodic) for i in range(-2, 3)]
    slope = (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * h)
    energies = [c.mean / (1 + i * h) for i, c in zip(range(-2, 3), g, strict=True)]
    curvature = -(energies[0] - 8 * energies[1] + 8 * energies[3] - energies[4]) / (12 * h)
    found = xy_chain_cumulants(length, K, periodic=periodic)
    assert found.mean == pytest.approx(-slope, rel=1e-6)
    assert found.variance == pytest.approx(curvature, rel=1e-5 if abs(K) < 1e4 else 1e-3)


@pytest.mark.parametrize("K", [1e6, 1e9])
def test_cold_chains_are_harmonic(K: float) -> None:
    ring, chain = (xy_chain_cumulants(9, K, periodic=periodic) for periodic in (True, False))
    assert ring.variance == pytest.approx(4, rel=1e-5)  # 8 modes, half each
    assert chain.variance == pytest.approx(4, rel=1e-5)
    assert chain.mean == pytest.approx(-8 * K + 4 + 1 / K, rel=1e-15)
    # the uniform mode has the length 2 pi sqrt(9), the others 2 - 2 cos(2 pi k / 9), whose product is 9^2
    assert ring.log_z == pytest.approx(9 * K + log(6 * pi) + 4 * log(2 * pi / K) - log(9), rel=1e-13)


@pytest.mark.parametrize("power", [1, 4])
@pytest.mark.parametrize("K", [1e-9, 0.5, 30.0, 999.0, 1e4, 1e7])
def test_the_orders_that_are_left_out_are_negligible(K: float, power: int) -> None:
    bessel = log_bessel(K, power)
    n = len(bessel.log)
    assert power * (log(max(float(ive(n, K)), 1e-300)) - bessel.log[0]) < -45
    assert bessel.log[:100] == pytest.approx(np.log(ive(np.arange(n)[:100], K)), rel=1e-12, abs=1e-13)


def test_the_two_forms_of_a_bessel_function_meet() -> None:
    n = np.arange(60.0)
    one, other = _by_debye(n, 1000.0), _by_recurrence(n, 1000.0)
    assert one.log == pytest.approx(other.log, abs=1e-12)
    assert one.slope + one.base == pytest.approx(other.slope + other.base, abs=1e-14)
    assert one.curvature == pytest.approx(other.curvature, rel=1e-8)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 1, 1)])
def test_angles_without_bonds_are_free(shape: tuple[int, ...]) -> None:
    found = exact_reference(XYSpec(shape=shape), 3.0)
    assert found.beta_f == pytest.approx(-log(2 * pi))
    assert found.observables == {"energy_per_site": 0.0, "heat_capacity_per_site": 0.0}
    assert exact_reference(XYSpec(shape=(4, 4), J=0.0), 3.0).beta_f == pytest.approx(-16 * log(2 * pi))


@pytest.mark.parametrize(
    ("spec", "beta", "why"),
    [
        (XYSpec(shape=(8, 8)), 1.0, "not a chain"),
        (XYSpec(shape=(5,)), 2e9, "1e[+]09"),
        (XYSpec(shape=(5,), J=-1.0), 2e5, "twice its length"),
    ],
    ids=str,
)
def test_what_is_not_covered_is_said_with_the_bound(spec: XYSpec, beta: float, why: str) -> None:
    with pytest.raises(NoExactReferenceError, match=why):
        exact_reference(spec, beta)


@pytest.mark.parametrize("beta", [-1.0, nan])
def test_a_beta_that_is_no_temperature_is_refused(beta: float) -> None:
    with pytest.raises(InvalidValueError, match="beta is"):
        exact_reference(XYSpec(shape=(4,)), beta)


def test_an_energy_of_zero_has_no_sign() -> None:
    for shape, J, beta in [((3,), 0.0, 1.0), ((1,), -1.0, 1.0), ((4,), 1.0, 0.0)]:
        energy = exact_reference(XYSpec(shape=shape, J=J), beta).observables["energy_per_site"]
        assert str(energy) == "0.0"
