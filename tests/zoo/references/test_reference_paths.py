"""Paths: their states, their solved ends, and where they lead."""

from math import log, pi, sqrt
from typing import Any

import pytest
import torch

from tests.zoo.samplers.continuous_systems import Pair, Quartic, Repulsion, Rotors, Springs, System
from zoo.core.random import RandomStream
from zoo.core.targets import Target, negative_gradient
from zoo.references.gaussian import Gaussian, GaussianPath, Interpolation, fitted_gaussian
from zoo.references.path import Path, TemperaturePath, uniform_draws
from zoo.samplers.base import Beta, Chains
from zoo.samplers.hmc import Hmc
from zoo.specs.errors import NumericalError
from zoo.specs.samplers import HmcSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.targets.ising import Ising

LAMBDAS = torch.linspace(0, 1, 6, dtype=torch.float64)


def chains_of(target: Target, beta: Beta) -> Chains[Any]:
    return Hmc(HmcSpec(num_leapfrog=4), target, beta)


def samples_of(system: System, number: int) -> torch.Tensor:
    x = RandomStream(2).normals(number, system.space.num_sites).reshape(number, *system.space.event_shape)
    return system.space.canonical(x)


def gaussian_path(system: System) -> GaussianPath:
    return GaussianPath(system, 0.7, fitted_gaussian(system.space, samples_of(system, 300)))


@pytest.mark.parametrize("system", [Quartic(3), Springs(3, 2)], ids=["reals", "centred"])
def test_interpolations_are_linear_with_the_slope_of_the_path_and_forces_to_match(system: System) -> None:
    path = gaussian_path(system)
    chains = path.chains(LAMBDAS, chains_of)
    x = samples_of(system, 6)
    mixed = chains.target
    assert isinstance(mixed, Interpolation)
    reference = 0.7 * system.energy(x) - path.slope(x)
    torch.testing.assert_close(mixed.energy(x), reference + LAMBDAS * path.slope(x))
    torch.testing.assert_close(mixed.force(x), negative_gradient(mixed.energy, x))
    assert mixed.row_groups.tolist() == [0, 1, 2, 3, 4, 5]


def test_at_the_solved_end_the_target_is_not_looked_at() -> None:
    system = Repulsion()
    reference = Gaussian(system.space, torch.zeros(2, 2), torch.ones(2, 2))
    mixed = Interpolation(system, 1.0, reference, torch.tensor([0.0, 0.5]))
    x = torch.zeros(2, 2, 2, dtype=torch.float64)  # one particle on top of the other
    energy = mixed.energy(x)
    assert energy[0] == 0
    assert energy[1] == torch.inf
    assert torch.equal(mixed.force(x)[0], torch.zeros(2, 2, dtype=torch.float64))


@pytest.mark.parametrize("system", [Quartic(3), Springs(3, 2)], ids=["reals", "centred"])
def test_draws_of_the_gaussian_have_its_moments(system: System) -> None:
    path = gaussian_path(system)
    x = path.draw(20_000, RandomStream(1))
    system.space.validate(x)
    u0 = 0.7 * system.energy(x) - path.slope(x)
    dof = system.space.spec.num_degrees_of_freedom
    assert float(u0.mean()) == pytest.approx(dof / 2, abs=4 * sqrt(dof / 2 / 20_000))
    assert float(u0.var()) == pytest.approx(dof / 2, rel=0.1)


def test_log_z_of_gaussians() -> None:
    variance = torch.tensor([0.5, 2.0], dtype=torch.float64)
    plain = Gaussian(Quartic(2).space, torch.ones(2, dtype=torch.float64), variance)
    assert plain.log_z == pytest.approx(0.5 * log(2 * pi * 0.5) + 0.5 * log(2 * pi * 2))
    springs = Springs(3, 2)  # n |x|^2 / 2 is itself such a Gaussian, of variance 1 / n
    tied = Gaussian(springs.space, torch.zeros(3, 2), torch.full((3, 2), 1 / 3, dtype=torch.float64))
    assert tied.log_z == pytest.approx(-springs.known().beta_f)
    x = samples_of(springs, 5)
    torch.testing.assert_close(tied.energy(x), springs.energy(x))


def test_a_gaussian_is_fitted_to_each_coordinate_or_to_all_particles() -> None:
    x = torch.tensor([1.0, 10.0], dtype=torch.float64) * RandomStream(1).normals(50_000, 2) + 3
    fitted = fitted_gaussian(Quartic(2).space, x)
    assert fitted.mean.tolist() == pytest.approx([3, 3], abs=0.2)
    assert fitted.variance.tolist() == pytest.approx([1, 100], rel=0.05)
    springs = Springs(4, 2)
    x = springs.space.canonical(RandomStream(1).normals(20_000, 8).reshape(-1, 4, 2))
    assert torch.unique(fitted_gaussian(springs.space, x).variance).item() == pytest.approx(1, rel=0.05)


def test_a_pilot_that_did_not_move_is_refused() -> None:
    with pytest.raises(NumericalError, match="pilot run"):
        fitted_gaussian(Quartic(2).space, torch.ones(10, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("path", "log_z0"),
    [
        (TemperaturePath(Ising(IsingSpec(shape=(2, 3))), 0.5), 6 * log(2)),
        (TemperaturePath(Rotors(4), 0.5), 4 * log(2 * pi)),
        (TemperaturePath(Pair(), 0.5), 2 * log(6)),
    ],
    ids=["spins", "torus", "box"],
)
def test_infinite_temperature_is_uniform(path: Path, log_z0: float) -> None:
    assert path.log_z0 == pytest.approx(log_z0)
    x = path.draw(4000, RandomStream(1))
    path.target.space.validate(x)
    torch.testing.assert_close(path.slope(x[:5]), 0.5 * path.target.energy(x[:5]))
    period = torch.tensor(path.target.space.spec.box or (2 * pi,))
    phase = 2 * pi * x.to(torch.float64) / period if x.is_floating_point() else pi * (x.to(torch.float64) + 1) / 2
    spread = phase.cos().mean(0).abs()
    assert float(spread.max()) < 5 * sqrt(1 / 4000)
    assert torch.equal(x, uniform_draws(path.target.space, 4000, RandomStream(1)))


def test_chains_on_a_temperature_path_have_their_own_beta() -> None:
    chains = TemperaturePath(Rotors(2), 0.5).chains(LAMBDAS, chains_of)
    assert torch.equal(torch.as_tensor(chains.beta), 0.5 * LAMBDAS)
