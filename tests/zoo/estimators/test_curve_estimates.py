"""Free energy, energy and heat capacity of one state from samples of another, against enumeration."""

from math import sqrt

import numpy as np
import pytest

from zoo.estimators.thermodynamics import Thermodynamics, thermodynamics
from zoo.exact.ising import exact_reference
from zoo.specs.errors import InvalidValueError, NumericalError
from zoo.specs.estimate import Estimate
from zoo.specs.targets.ising import IsingSpec
from zoo.targets.ising import Ising

SPEC, BETA = IsingSpec(shape=(3, 3), h=0.1), 0.3
TARGET = Ising(SPEC)
SITES = TARGET.space.num_sites
ENERGIES = TARGET.energy(TARGET.space.enumerate()).numpy()
REFERENCE = exact_reference(SPEC, BETA)
EXACT = {
    "beta_f": REFERENCE.beta_f,
    "energy": SITES * REFERENCE.observables["energy_per_site"],
    "heat_capacity": SITES * REFERENCE.observables["heat_capacity_per_site"],
}


def estimated(rng: np.random.Generator, n: int, *, drawn_at: float = 0.2, energy_scale: float = 1.0) -> Thermodynamics:
    """The estimates from samples of the same lattice at another temperature; a scale that is not 1 is a fault."""
    q = np.exp(-drawn_at * (ENERGIES - ENERGIES.min()))
    q /= q.sum()
    x = rng.choice(len(q), p=q, size=n)
    return thermodynamics(-BETA * ENERGIES[x] - np.log(q[x]), energy_scale * ENERGIES[x], BETA)


def sigmas(found: Estimate, exact: float) -> float:
    assert found.standard_error is not None
    return (found.value - exact) / found.standard_error


@pytest.mark.parametrize("name", EXACT)
def test_every_estimate_is_that_of_the_target(name: str) -> None:
    found = getattr(estimated(np.random.default_rng(1), 100_000), name)
    assert found.reliable
    assert abs(sigmas(found, EXACT[name])) < 4


def test_energies_in_another_unit_are_noticed() -> None:
    wrong = estimated(np.random.default_rng(1), 100_000, energy_scale=1.05)
    assert abs(sigmas(wrong.energy, EXACT["energy"])) > 10
    assert abs(sigmas(wrong.heat_capacity, EXACT["heat_capacity"])) > 10


def test_the_bound_lies_above_by_the_divergence() -> None:
    q = np.exp(-0.2 * ENERGIES) / np.exp(-0.2 * ENERGIES).sum()
    divergence = float(q @ (np.log(q) + BETA * ENERGIES + np.log(np.exp(-BETA * ENERGIES).sum())))
    found = estimated(np.random.default_rng(2), 50_000)
    assert abs(sigmas(found.upper_bound, EXACT["beta_f"] + divergence)) < 4
    assert found.upper_bound.value > found.beta_f.value


def test_error_bars_cover_the_truth_over_seeds() -> None:
    rng, repetitions = np.random.default_rng(3), 600
    draws = [estimated(rng, 1000) for _ in range(repetitions)]
    expected, spread = 0.6827 * repetitions, sqrt(0.6827 * 0.3173 * repetitions)
    for name, exact in EXACT.items():
        deviations = np.abs([sigmas(getattr(found, name), exact) for found in draws])
        assert abs((deviations <= 1).sum() - expected) < 4 * spread, name
        assert (deviations <= 1.25).sum() > expected + 4 * spread, name  # an error bar a quarter too long is caught


def test_few_effective_samples_make_every_estimate_unreliable() -> None:
    found = estimated(np.random.default_rng(4), 5000, drawn_at=-1.5)
    for name in EXACT:
        estimate = getattr(found, name)
        assert not estimate.reliable
        assert "effective sample size" in estimate.warnings[0]


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="3 values came with 2 log-weights"):
        thermodynamics([0.0, 0.1], [1.0, 2.0, 3.0], BETA)
    with pytest.raises(NumericalError, match="not finite"):
        thermodynamics([0.0, 0.1], [1.0, np.nan], BETA)
