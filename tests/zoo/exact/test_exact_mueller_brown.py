"""The Mueller-Brown surface by adaptive quadrature against the trapezoid rule."""

from math import log, pi

import numpy as np
import pytest

from zoo.exact.mueller_brown import exact_reference, mueller_brown_energy, mueller_brown_log_z_by_trapezoid
from zoo.specs.errors import NoExactReferenceError
from zoo.specs.targets.mueller_brown import MuellerBrownSpec

SPEC = MuellerBrownSpec()
DEEPEST = np.array([-0.55822363, 1.44172584])


@pytest.mark.parametrize("beta", [1e-6, 0.01, 0.05, 0.3, 2.0])
def test_free_energy_by_two_routes(beta: float) -> None:
    expected = -mueller_brown_log_z_by_trapezoid(beta, points=600)
    assert exact_reference(SPEC, beta).beta_f == pytest.approx(expected, abs=1e-9)


def test_a_trapezoid_rule_too_coarse_is_caught() -> None:
    coarse = mueller_brown_log_z_by_trapezoid(2.0, points=60)
    assert abs(exact_reference(SPEC, 2.0).beta_f + coarse) > 1e-3


@pytest.mark.parametrize("beta", [0.02, 0.05, 0.2])
def test_observables_by_the_trapezoid_rule(beta: float) -> None:
    x, y = np.meshgrid(np.linspace(-4, 2.5, 700), np.linspace(-2, 4, 700))
    energy = mueller_brown_energy(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
    p = np.exp(-beta * (energy - energy.min()))
    p /= p.sum()
    found = exact_reference(SPEC, beta).observables
    mean = (p * energy).sum()
    assert found["energy"] == pytest.approx(mean, rel=1e-8)
    assert found["heat_capacity"] == pytest.approx(beta**2 * (p * (energy - mean) ** 2).sum(), rel=1e-8)
    assert (found["x"], found["y"]) == pytest.approx(((p * x).sum(), (p * y).sum()), abs=1e-8)
    assert found["deep_basin"] == pytest.approx(p[y - x > 1.446].sum(), abs=2e-3)  # a step: first order in the spacing


def test_low_temperatures_are_harmonic() -> None:
    h = 1e-4
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    grid = mueller_brown_energy(DEEPEST + h * np.array(steps, float)).reshape(3, 3)
    xx = (grid[2, 1] - 2 * grid[1, 1] + grid[0, 1]) / h**2
    yy = (grid[1, 2] - 2 * grid[1, 1] + grid[1, 0]) / h**2
    xy = (grid[2, 2] - grid[2, 0] - grid[0, 2] + grid[0, 0]) / (4 * h**2)
    beta = 1e3
    expected = beta * grid[1, 1] - log(2 * pi / beta) + log(xx * yy - xy**2) / 2
    assert exact_reference(SPEC, beta).beta_f == pytest.approx(expected, abs=1e-3)


def test_temperatures_too_low_for_the_quadrature_are_refused() -> None:
    with pytest.raises(NoExactReferenceError, match="too few of exp"):
        exact_reference(SPEC, 1e9)
