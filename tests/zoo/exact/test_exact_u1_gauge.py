"""The character expansion against convolutions of plaquettes, published numbers and limits."""

from math import exp, log, nan, pi, prod

import numpy as np
import pytest
from scipy.special import ive

from zoo.exact.circle_convolution import log_power_sum
from zoo.exact.u1_gauge import exact_reference, mean_squared_charge, u1_cumulants
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.targets.u1_gauge import U1GaugeSpec


def test_the_8x8_values_are_the_published_numbers() -> None:
    found = exact_reference(U1GaugeSpec(shape=(8, 8)), 2.0)
    assert -found.beta_f - 128 * log(2 * pi) == pytest.approx(52.735586655, abs=6e-10)
    assert found.observables["plaquette"] == pytest.approx(0.697774658, abs=6e-10)
    assert found.observables["topological_charge_squared"] == pytest.approx(1.239298911, abs=6e-10)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (3, 5), (16, 16)])
@pytest.mark.parametrize("beta", [1e-3, 0.7, 5.0, 60.0])
def test_log_z_is_the_convolution_of_the_plaquettes(shape: tuple[int, int], beta: float) -> None:
    plaquettes = prod(shape)
    expected = log_power_sum(beta, plaquettes) + 2 * plaquettes * log(2 * pi)
    assert exact_reference(U1GaugeSpec(shape=shape), beta).beta_f == pytest.approx(-expected, rel=1e-13, abs=1e-11)


def by_linear_convolution(plaquettes: int, beta: float, points: int) -> float:
    """<Q^2> from the distribution of the sum of all plaquette angles, which is a whole number of turns."""
    half = points // 2
    angle = pi * (np.arange(points) - half + 0.5) / half  # midpoints of cells of [-pi, pi)
    weight = np.exp(beta * (np.cos(angle) - 1)) / points
    total = np.ones(1)
    for _ in range(plaquettes):
        total = np.convolve(total, weight)
    # entry k stands for an angle (k - plaquettes (half - 1/2)) pi / half
    turns = np.arange(-plaquettes, plaquettes + 1)
    place = plaquettes * (half - 0.5) + turns * points
    inside = (place >= 0) & (place <= len(total) - 1) & (place == np.round(place))
    p = total[place[inside].astype(int)]
    return float((p * turns[inside] ** 2).sum() / p.sum())


@pytest.mark.parametrize(("plaquettes", "beta"), [(4, 0.5), (4, 2.0), (6, 1.0), (16, 2.0), (16, 8.0), (16, 9.6)])
def test_charges_are_turns_of_the_sum_of_all_plaquettes(plaquettes: int, beta: float) -> None:
    coarse, fine = (by_linear_convolution(plaquettes, beta, points) for points in (400, 800))
    expected = fine + (fine - coarse) / 3  # the midpoint rule's error is quadratic
    assert mean_squared_charge(plaquettes, beta) == pytest.approx(expected, rel=1e-4)


def test_a_charge_from_unwrapped_bessel_orders_is_caught() -> None:
    # I_nu, the Bessel function of real order, is not the coefficient of a plaquette between whole orders

    h, orders = 1e-3, np.arange(-20, 21)
    z = [float((ive(np.abs(orders - i * h), 2.0) ** 16).sum()) for i in (-1, 0, 1)]
    wrong = -(log(z[0]) - 2 * log(z[1]) + log(z[2])) / h**2 / (4 * pi * pi)
    assert abs(wrong - mean_squared_charge(16, 2.0)) > 1e-3


@pytest.mark.parametrize("plaquettes", [3, 9, 100])
def test_free_plaquettes_have_a_uniform_angle_each(plaquettes: int) -> None:
    assert mean_squared_charge(plaquettes, 0.0) == plaquettes / 12
    assert mean_squared_charge(plaquettes, 1e-7) == pytest.approx(plaquettes / 12, rel=1e-6)


@pytest.mark.parametrize(("plaquettes", "ratio"), [(64, 0.5), (400, 0.6)])
def test_cold_charges_weigh_their_harmonic_action(plaquettes: int, ratio: float) -> None:
    beta = ratio * plaquettes
    expected = 2 * exp(-2 * pi**2 * (beta - 0.5) / plaquettes)  # beta is renormalised by 1 / 2 to leading order
    assert mean_squared_charge(plaquettes, beta) == pytest.approx(expected, rel=0.05)


def test_one_or_two_plaquettes_have_no_charge_and_frozen_ones_neither() -> None:
    assert [mean_squared_charge(v, 0.3) for v in (1, 2)] == [0.0, 0.0]
    assert mean_squared_charge(16, 1e3) == 0.0
    assert 0 <= mean_squared_charge(16, 159.0) < 1e-12


def test_one_plaquette_on_a_torus_is_flat() -> None:
    found = exact_reference(U1GaugeSpec(shape=(1, 1)), 1.7)
    assert found.beta_f == pytest.approx(-(2 * log(2 * pi) + 1.7), abs=1e-13)
    assert found.observables["plaquette"] == 1.0
    assert found.observables["heat_capacity_per_site"] == 0.0


@pytest.mark.parametrize("beta", [0.3, 2.0, 40.0])
def test_cumulants_are_derivatives_of_log_z(beta: float) -> None:
    h = 1e-3
    f = [u1_cumulants(12, beta * (1 + i * h)).log_z for i in range(-2, 3)]
    found = u1_cumulants(12, beta)
    assert found.mean == pytest.approx(-(f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * h), rel=1e-8)
    second = (-f[0] + 16 * f[1] - 30 * f[2] + 16 * f[3] - f[4]) / (12 * h * h)
    assert found.variance == pytest.approx(second, rel=1e-5)


def test_large_beta_is_harmonic() -> None:
    found = exact_reference(U1GaugeSpec(shape=(8, 8)), 1e9)
    assert found.observables["heat_capacity_per_site"] == pytest.approx(63 / 2 / 128, rel=1e-8)
    assert found.observables["plaquette"] == pytest.approx(1 - 63 / 64 / 2e9, rel=1e-15)


def test_the_observables_are_consistent() -> None:
    found = exact_reference(U1GaugeSpec(shape=(4, 4)), 1.3).observables
    assert found["energy_per_site"] == pytest.approx(-found["plaquette"] / 2)  # two links for each plaquette


def test_beta_above_the_bound_is_refused_with_it() -> None:
    with pytest.raises(NoExactReferenceError, match=r"up to 1e\+09"):
        exact_reference(U1GaugeSpec(shape=(4, 4)), 2e9)
    with pytest.raises(InvalidValueError, match="beta is"):
        exact_reference(U1GaugeSpec(shape=(4, 4)), nan)
