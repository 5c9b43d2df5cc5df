"""Reweighted averages and fluctuations against enumeration, with the coverage of their error bars."""

from math import sqrt

import numpy as np
import pytest

from zoo.estimators.observables import importance_average, importance_energy, importance_heat_capacity
from zoo.exact.ising import exact_reference
from zoo.specs.errors import InvalidValueError, NumericalError
from zoo.specs.estimate import Estimate
from zoo.specs.targets.ising import IsingSpec
from zoo.targets.ising import Ising

SPEC, BETA = IsingSpec(shape=(3, 3)), 0.35
TARGET = Ising(SPEC)
SITES = TARGET.space.num_sites
STATES = TARGET.space.enumerate()
ENERGIES = TARGET.energy(STATES).numpy()
EXACT = exact_reference(SPEC, BETA).observables


def hotter_samples(rng: np.random.Generator, n: int, beta: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Log-weights and energies of samples of the same lattice at another temperature."""
    q = np.exp(-beta * (ENERGIES - ENERGIES.min()))
    q /= q.sum()
    x = rng.choice(len(q), p=q, size=n)
    return -BETA * ENERGIES[x] - np.log(q[x]), ENERGIES[x]


def sigmas(found: Estimate, exact: float) -> float:
    assert found.standard_error is not None
    return (found.value - exact) / found.standard_error


def test_energy_and_heat_capacity_are_those_of_the_target() -> None:
    lw, energies = hotter_samples(np.random.default_rng(1), 100_000)
    assert abs(sigmas(importance_energy(lw, energies, SITES), EXACT["energy_per_site"])) < 4
    assert abs(sigmas(importance_heat_capacity(lw, energies, BETA, SITES), EXACT["heat_capacity_per_site"])) < 4
    unweighted = importance_energy(np.zeros(len(lw)), energies, SITES)  # the average over q instead of p
    assert abs(sigmas(unweighted, EXACT["energy_per_site"])) > 20


def test_error_bars_cover_the_truth() -> None:
    rng, repetitions = np.random.default_rng(2), 1000
    draws = [hotter_samples(rng, 1000) for _ in range(repetitions)]
    expected, spread = 0.6827 * repetitions, sqrt(0.6827 * 0.3173 * repetitions)
    deviations = {
        "energy": [sigmas(importance_energy(lw, e, SITES), EXACT["energy_per_site"]) for lw, e in draws],
        "heat capacity": [
            sigmas(importance_heat_capacity(lw, e, BETA, SITES), EXACT["heat_capacity_per_site"]) for lw, e in draws
        ],
    }
    for name, values in deviations.items():
        hits = np.abs(values) <= 1
        assert abs(hits.sum() - expected) < 4 * spread, name
        assert (np.abs(values) <= 1.25).sum() > expected + 4 * spread, name  # an error bar a quarter too long is caught


def test_of_a_constant_the_average_is_exact() -> None:
    lw, energies = hotter_samples(np.random.default_rng(3), 500)
    found = importance_average(lw, np.ones(len(energies)))
    assert found.value == pytest.approx(1.0, abs=1e-14)
    assert found.standard_error == pytest.approx(0.0, abs=1e-14)


def test_unreliable_weights_make_unreliable_averages() -> None:
    rng = np.random.default_rng(4)
    found = importance_average(5 * rng.normal(size=5000), rng.normal(size=5000))
    assert not found.reliable
    assert found.warnings
    single = importance_average([0.0], [2.0])
    assert (single.value, single.standard_error, single.reliable) == (2.0, None, False)


def test_values_that_do_not_fit_the_weights_raise() -> None:
    with pytest.raises(InvalidValueError, match="3 values came with 2 log-weights"):
        importance_average([0.0, 0.0], [1.0, 2.0, 3.0])
    with pytest.raises(NumericalError, match=r"values\[1\]"):
        importance_average([0.0, 0.0], [1.0, np.nan])
