"""Direct draws: independent, exact, and refused where a system has none."""

import pytest
import torch

from tests.zoo.samplers.calibration import boltzmann, chi_square_p_value, index_of
from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.samplers.base import RunPlan
from zoo.samplers.direct import Direct
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import DirectSpec
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.ising import IsingSpec


def test_every_step_is_a_new_draw_from_the_distribution() -> None:
    target = build_target(BarsAndStripesSpec(shape=(2, 3)))
    chains = build_chains(DirectSpec(), target, 1.0)
    drawn = chains.run(500, RunPlan(20), RandomStream(3)).configurations
    states = index_of(target, drawn.flatten(0, 1))
    assert chi_square_p_value(states, boltzmann(target, 1.0)) > 1e-3
    repeats = (drawn[:, 1:] == drawn[:, :-1]).flatten(2).all(2).double().mean()
    assert float(repeats) == pytest.approx(1 / 10, abs=0.02)  # 2^2 + 2^3 - 2 equally likely patterns


def test_normal_coordinates_have_their_covariance() -> None:
    spec = GaussianSpec(precision=((2.0, 0.5), (0.5, 1.0)))
    chains = Direct(DirectSpec(), build_target(spec), torch.full((400,), 2.0, dtype=torch.float64))
    x = chains.run(400, RunPlan(50), RandomStream(2)).configurations.flatten(0, 1)
    covariance = torch.linalg.inv(2 * torch.tensor(spec.precision, dtype=torch.float64))
    assert torch.allclose(x.T @ x / len(x), covariance, atol=0.02)
    state, info = chains.step(chains.state_at(x[:400]), RandomStream(1))
    assert info.acceptance.tolist() == [1.0] * 400
    assert not torch.equal(chains.configurations(state), x[:400])


def test_one_seed_one_answer() -> None:
    chains = build_chains(DirectSpec(), build_target(BarsAndStripesSpec(shape=(3, 3))), 1.0)
    one, same, other = (chains.run(20, RunPlan(5), RandomStream(seed)).configurations for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_what_cannot_be_drawn_is_refused_in_words() -> None:
    assert "cannot be drawn from directly" in str(DirectSpec().unsupported_reason(IsingSpec(shape=(2,))))
    with pytest.raises(InvalidValueError, match="Ising cannot be drawn from directly"):
        Direct(DirectSpec(), build_target(IsingSpec(shape=(2,))), 1.0)
    two_betas = torch.tensor([1.0, 2.0], dtype=torch.float64)
    with pytest.raises(InvalidValueError, match="at one beta, and 2 different ones came"):
        Direct(DirectSpec(), build_target(BarsAndStripesSpec(shape=(2, 2))), two_betas)
