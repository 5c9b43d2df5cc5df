"""Quadrature of exp(-u): known integrals, narrow and double peaks, walls, and the refusal of what does not converge."""

from math import erf, exp, inf, log, nan, pi, sqrt

import numpy as np
import pytest

from zoo.exact.quadrature import (
    LineFunction,
    Spots,
    line_cumulants,
    line_integrals,
    line_means,
    plane_cumulants,
    plane_integrals,
    plane_means,
)
from zoo.specs.errors import NumericalError


def parabola(stiffness: float, center: float = 0.123) -> LineFunction:
    return lambda x: np.asarray(stiffness / 2 * (x - center) ** 2)


@pytest.mark.parametrize("stiffness", [0.5, 1.0, 1e4, 1e9, 1e14])
def test_a_normal_peak_of_any_width_is_found(stiffness: float) -> None:
    found = line_cumulants(parabola(stiffness), -50, 60)
    digits = 1e-12 + 1e-17 * stiffness**0.5  # positions of 16 digits
    assert found.log_z == pytest.approx(log(2 * pi / stiffness) / 2, abs=digits)
    assert (found.mean, found.variance) == pytest.approx((0.5, 0.5), abs=digits)


@pytest.mark.parametrize("height", [1.0, 1e2, 1e5, 1e9])
@pytest.mark.parametrize("shift", [0.0, 0.0137])
def test_both_of_two_equal_peaks_count(height: float, shift: float) -> None:
    def wells(x: np.ndarray) -> np.ndarray:
        return np.asarray(height * ((x - shift) ** 2 - 1) ** 2)

    both, right = line_cumulants(wells, -4, 4), line_cumulants(wells, shift, 4)
    assert both.log_z == pytest.approx(right.log_z + log(2), abs=1e-11)
    assert line_means(wells, -4, 4, {"right": lambda x: (x > shift) * 1.0})["right"] == pytest.approx(0.5, abs=1e-11)


def test_hard_walls_and_steps_are_located() -> None:
    found, means = line_integrals(lambda r: np.where(r < 1.2345, inf, r), 0, 60, {"near": lambda r: (r < 2) * 1.0})
    assert found.log_z == pytest.approx(-1.2345, abs=1e-11)
    assert (found.mean, found.variance) == pytest.approx((2.2345, 1.0), abs=1e-11)
    assert means["near"] == pytest.approx(1 - exp(-(2 - 1.2345)), abs=1e-11)


def test_a_power_at_the_end_of_the_interval_is_integrated() -> None:
    found = line_cumulants(lambda r: -1.5 * np.log(r), 0, 1)  # u falls without bound nowhere: r^1.5
    assert found.log_z == pytest.approx(-log(2.5), abs=1e-12)
    assert found.mean == pytest.approx(1.5 / 2.5, abs=1e-11)  # -<ln r> = 1 / (a + 1) under r^a


def test_cut_off_tails_are_cut_off() -> None:
    found = line_cumulants(parabola(1.0, 0.0), 0, 1)
    assert found.log_z == pytest.approx(log(sqrt(pi / 2) * erf(1 / sqrt(2))), abs=1e-13)


@pytest.mark.parametrize("stiffness", [1.0, 1e2, 1e3])
def test_the_plane_holds_a_turned_valley(stiffness: float) -> None:
    def u(x: np.ndarray) -> np.ndarray:
        along, across = x[:, 0] - x[:, 1], x[:, 0] + x[:, 1] - 0.3
        return np.asarray((along**2 + stiffness * across**2) / 2)

    found = plane_cumulants(u, (-12, -12), (13, 13))
    assert found.log_z == pytest.approx(log(2 * pi) - log(4 * stiffness) / 2, abs=1e-11)
    assert (found.mean, found.variance) == pytest.approx((1, 1), abs=1e-11)
    means = plane_means(u, (-12, -12), (13, 13), {"x": lambda x: x[:, 0], "xy": lambda x: x[:, 0] * x[:, 1]})
    assert means["x"] == pytest.approx(0.15, abs=1e-11)
    assert means["xy"] == pytest.approx((0.3**2 + 1 / stiffness - 1) / 4, abs=1e-11)


def test_the_plane_agrees_with_the_radius() -> None:
    width, reach = 0.1, 5.0
    plane = plane_cumulants(lambda x: (np.hypot(*x.T) - 3) ** 2 / (2 * width**2), (-reach, -reach), (reach, reach))
    radius = line_cumulants(lambda r: (r - 3) ** 2 / (2 * width**2) - np.log(2 * pi * r), 0, reach)
    assert plane.log_z == pytest.approx(radius.log_z, abs=1e-12)


def spike(x: np.ndarray) -> np.ndarray:
    """-ln of a density, half of it in 1e-4 around the origin."""
    r2 = (x**2).sum(1)
    return np.asarray(-np.logaddexp(-r2 / 2 - log(4 * pi), -r2 / 2e-8 - log(4 * pi * 1e-8)))


def test_a_spike_on_a_smooth_density_needs_its_spot() -> None:
    center = np.array([0.0, 0.0])
    told, _ = plane_integrals(spike, (-12, -13), (13, 12), {}, Spots(center[None], np.array([1e-4])))
    assert told.log_z == pytest.approx(0, abs=1e-10)
    untold = plane_cumulants(spike, (-12, -13), (13, 12))
    assert untold.log_z == pytest.approx(log(0.5), abs=1e-3)  # what Spots is for


@pytest.mark.parametrize(
    ("u", "message"),
    [
        (lambda x: x * nan, "NaN"),
        (lambda x: np.where(x > 0, -inf, x), "-inf"),
        (lambda x: x * 0 + inf, "vanishes everywhere"),
        (lambda x: np.log(np.abs(np.sin(1e7 * x)) + 1e-3), "did not converge"),
        (lambda x: x**2 + 1e12, "too few"),
    ],
)
def test_what_cannot_be_integrated_is_refused(u: LineFunction, message: str) -> None:
    with pytest.raises(NumericalError, match=message):
        line_cumulants(u, -1, 1.5)


def test_a_curve_along_which_u_jumps_is_refused() -> None:
    with pytest.raises(NumericalError, match="did not converge"):
        plane_cumulants(lambda x: np.where((x**2).sum(1) < 1, 0.0, inf), (-1.1, -1.1), (1.1, 1.1))


@pytest.mark.parametrize(("low", "high"), [(0, inf), (1, 1), (2, 1), (nan, 1)])
def test_limits_are_finite_and_in_order(low: float, high: float) -> None:
    with pytest.raises(NumericalError, match="finite limits"):
        line_cumulants(lambda x: x, low, high)


def test_an_observable_that_is_not_finite_is_refused() -> None:
    with pytest.raises(NumericalError, match="observable"):
        line_means(lambda x: x**2, -5, 5, {"pole": lambda x: x * inf})
