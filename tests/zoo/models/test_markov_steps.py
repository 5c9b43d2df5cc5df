"""Markov steps: they leave exp(-u) as it is, and know their own densities both ways."""

import pytest
import torch

from zoo.catalog import build_target
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.models.markov_steps import HmcStep, LangevinStep, MarkovStep, MetropolisStep, Potential
from zoo.specs.targets.double_well import DoubleWellSpec

WELL = DoubleWellSpec(a=0.5, b=1.0)
STEPS: dict[str, MarkovStep] = {"metropolis": MetropolisStep(), "hmc": HmcStep(5)}


def potential(share: float) -> Potential:
    state = ThermodynamicState(build_target(WELL), 1.0)
    return Potential(torch.tensor(1.5, dtype=torch.float64), state, share, (2,))


def stationary(u: Potential, n: int, seed: int) -> torch.Tensor:
    """Samples of exp(-u), by inversion along both coordinates, which know nothing of each other."""
    line = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    nothing = torch.zeros_like(line)
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for pair in ([line, nothing], [nothing, line]):
        cumulative = torch.exp(-u.energy(torch.stack(pair, 1))).cumsum(0)
        uniforms = torch.rand(n, generator=generator, dtype=torch.float64) * cumulative[-1]
        columns.append(line[torch.searchsorted(cumulative, uniforms)])
    return torch.stack(columns, 1)


@pytest.mark.parametrize("share", [0.4, 1.0])
@pytest.mark.parametrize("name", STEPS)
def test_the_stationary_density_stays_and_tells_the_ratio(name: str, share: float) -> None:
    u, n = potential(share), 40_000
    x = stationary(u, n, seed=3)
    moved, ratio = x, torch.zeros(n, dtype=torch.float64)
    for step in range(4):
        moved, gained = STEPS[name](moved, u, torch.tensor(0.5), RandomStream(7, step))
        ratio = ratio + gained
    assert 0.2 < float((moved != x).all(1).double().mean()) <= 1
    torch.testing.assert_close(ratio, u.energy(x) - u.energy(moved), rtol=1e-9, atol=1e-9)
    for power in (2, 4):
        before, after = x.pow(power), moved.pow(power)
        error = ((before.var(0) + after.var(0)) / n).sqrt()
        assert bool(((before.mean(0) - after.mean(0)).abs() < 4 * error).all())


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_langevin_steps_know_the_density_of_both_ways(share: float) -> None:
    """Against the normal densities of x' given x and of x given x'."""
    u, size = potential(share), torch.tensor(0.3, dtype=torch.float64)
    x = stationary(u, 50, seed=3)
    moved, ratio = LangevinStep()(x, u, size, RandomStream(7))
    there = (moved - x - size**2 / 2 * u.force(x)).square().sum(1)
    back = (x - moved - size**2 / 2 * u.force(moved)).square().sum(1)
    torch.testing.assert_close(ratio, (back - there) / (2 * size**2), rtol=1e-9, atol=1e-9)


def test_forces_are_those_of_the_target_between_it_and_the_base() -> None:
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = build_target(WELL)
    expected = 0.4 * target.force(x) - 0.6 * 1.5 * x  # type: ignore[attr-defined]
    torch.testing.assert_close(potential(0.4).force(x), expected)


@pytest.mark.parametrize("name", STEPS)
def test_what_is_no_finite_number_is_not_accepted(name: str) -> None:
    x = torch.full((20, 2), 1e60, dtype=torch.float64)
    moved, ratio = STEPS[name](x, potential(1.0), torch.tensor(1e30), RandomStream(7))
    assert torch.equal(moved, x)
    assert not bool(ratio.isnan().any()) or bool(potential(1.0).energy(x).isinf().any())
