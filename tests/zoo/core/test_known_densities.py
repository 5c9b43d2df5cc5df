"""A known density as a distribution to learn from: its energy, its force, and both at other temperatures."""

import math

import pytest
import torch

from tests.conformance.cases import scramble
from zoo.catalog import build_model, build_target
from zoo.core.known_densities import KnownDensity
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.specs.models.maf import MafSpec
from zoo.specs.targets.phi4 import Phi4Spec

SPACE = build_target(Phi4Spec(shape=(2, 2), mass_squared=1, coupling=0.5)).space


@pytest.fixture(scope="module")
def model() -> Model:
    built = build_model(MafSpec(width=8), SPACE, seed=1)
    scramble(built, scale=0.1)
    return built.double().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_the_energy_is_minus_the_log_density(model: Model, beta: float) -> None:
    x = model.sample(7, RandomStream(1))
    known = KnownDensity(model, beta)
    assert known.groups == 1
    torch.testing.assert_close(known.reduced_energy(x), -beta * model.log_prob(x))
    torch.testing.assert_close(known.unnormalized_log_prob(x), beta * model.log_prob(x))


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_the_force_is_the_slope_of_the_energy(model: Model, beta: float) -> None:
    known, x = KnownDensity(model, beta), model.sample(5, RandomStream(2))
    force, step = known.reduced_force(x), 1e-5
    assert force.dtype == torch.float64
    assert not force.requires_grad
    for site in range(SPACE.num_sites):
        shift = torch.zeros(1, SPACE.num_sites, dtype=torch.float64)
        shift[0, site] = step
        shift = shift.reshape(1, *SPACE.event_shape)
        slope = (known.reduced_energy(x + shift) - known.reduced_energy(x - shift)) / (2 * step)
        torch.testing.assert_close(force.flatten(1)[:, site], -slope, rtol=1e-5, atol=1e-6)


def test_a_force_is_found_without_gradients_around_it(model: Model) -> None:
    x = model.sample(3, RandomStream(3))
    with torch.no_grad():
        found = KnownDensity(model).reduced_force(x)
    torch.testing.assert_close(found, KnownDensity(model).reduced_force(x))
    assert not math.isclose(float(found.abs().max()), 0.0)
