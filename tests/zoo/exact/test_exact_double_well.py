"""The double well by quadrature against the series of hypergeometric functions."""

from math import log, pi

import numpy as np
import pytest

from zoo.exact.double_well import barrier_position, double_well_log_z_by_series, exact_reference
from zoo.specs.errors import InvalidValueError, NoExactReferenceError, NumericalError
from zoo.specs.targets.double_well import DoubleWellSpec

SPECS = [
    DoubleWellSpec(dimension=1),
    DoubleWellSpec(dimension=5, k=3.0),
    DoubleWellSpec(c=0.5),
    DoubleWellSpec(c=-2.0, b=3.0),
    DoubleWellSpec(b=-1.0, c=2.0),
    DoubleWellSpec(b=0.0, c=1.0),
    DoubleWellSpec(a=0.1, b=20.0, c=-1.0),
    DoubleWellSpec(a=1e3, b=1e-3),
]


@pytest.mark.parametrize("spec", SPECS, ids=repr)
@pytest.mark.parametrize("beta", [1e-3, 1.0, 5.0])
def test_free_energy_by_two_routes(spec: DoubleWellSpec, beta: float) -> None:
    expected = -double_well_log_z_by_series(spec, beta)
    assert exact_reference(spec, beta).beta_f == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_energy_and_heat_capacity_are_derivatives_of_the_series(spec: DoubleWellSpec) -> None:
    beta, h = 0.8, 1e-3
    low, here, high = (double_well_log_z_by_series(spec, beta * (1 + k * h)) for k in (-1, 0, 1))
    found = exact_reference(spec, beta).observables
    assert found["energy"] == pytest.approx((low - high) / (2 * h * beta), rel=1e-5, abs=1e-5)
    assert found["heat_capacity"] == pytest.approx((low - 2 * here + high) / h**2, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_position_is_the_derivative_in_the_tilt(spec: DoubleWellSpec) -> None:
    h, beta = 1e-4, 1.3
    up, down = (spec.model_copy(update={"c": spec.c + sign * h}) for sign in (1, -1))
    slope = (exact_reference(up, beta).beta_f - exact_reference(down, beta).beta_f) / (2 * h)
    assert exact_reference(spec, beta).observables["position"] == pytest.approx(slope / beta, abs=1e-6)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_barrier_is_the_middle_stationary_point(spec: DoubleWellSpec) -> None:
    roots = np.roots([4 * spec.a, 0, -4 * spec.a * spec.b, spec.c])
    real = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
    expected = real[1] if len(real) == 3 and spec.b > 0 else 0.0
    assert barrier_position(spec) == pytest.approx(expected, abs=1e-9)


def test_deep_wells_share_by_the_energy_of_the_tilt() -> None:
    spec = DoubleWellSpec(a=50.0, b=1.0, c=0.5)
    right = exact_reference(spec, 1).observables["right_well"]
    assert log((1 - right) / right) == pytest.approx(2 * 0.5, abs=0.02)
    assert exact_reference(DoubleWellSpec(a=50.0), 1).observables["right_well"] == pytest.approx(0.5, abs=1e-12)


def test_deep_wells_are_two_normal_distributions() -> None:
    found = exact_reference(DoubleWellSpec(a=1e4, b=1.0, dimension=3, k=2.0), 1)
    normal = log(2) + log(2 * pi / 8e4) / 2 + log(2 * pi / 2)
    assert found.beta_f == pytest.approx(-normal, abs=1e-4)


def test_parameters_out_of_range_of_the_methods_are_refused() -> None:
    with pytest.raises(NoExactReferenceError, match="too few of exp"):
        exact_reference(DoubleWellSpec(a=1e-9, b=-1e9), 1)
    with pytest.raises(NumericalError, match="out of the range"):
        double_well_log_z_by_series(DoubleWellSpec(b=100.0), 1)
    with pytest.raises(InvalidValueError, match="beta"):
        exact_reference(DoubleWellSpec(), 0)
