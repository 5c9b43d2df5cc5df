"""Flows with extra variables: exact weights, a density by averaging, and learning from energies and data."""

import pytest
import torch

from zoo.catalog import build_objective, build_target, build_trainable
from zoo.core.random import RandomStream
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.models.augmented_flow import AugmentedFlow
from zoo.specs.models.augmented_flow import AugmentedFlowSpec
from zoo.specs.objectives import MaximumLikelihoodSpec, ReverseKlSpec
from zoo.specs.targets.double_well import DoubleWellSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem, TrainingData
from zoo.training.trainer import Trainer, train

WELL = DoubleWellSpec(a=0.3, b=1.0)
STATE = ThermodynamicState(build_target(WELL), 1.0)


def flow(extra: int | None = 3) -> AugmentedFlow:
    model = build_trainable(AugmentedFlowSpec(extra=extra, couplings=4, width=12, depth=1), STATE.target.space, seed=2)
    assert isinstance(model, AugmentedFlow)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(3)
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.04)
    return model


def trained(problem: Problem, objective: ReverseKlSpec | MaximumLikelihoodSpec) -> AugmentedFlow:
    spec = TrainingSpec(batch_size=256, max_steps=300, learning_rate=0.01, beta_anneal_steps=0, seed=1)
    trainer = Trainer(build_objective(objective), problem, spec)
    state = trainer.init(flow())
    *_, (ended, _) = train(trainer, state)
    assert isinstance(ended.model, AugmentedFlow)
    return ended.model


def exact() -> float:
    assert isinstance(STATE.target, HasExactFreeEnergy)
    return STATE.target.exact_beta_f(1.0)


@pytest.mark.parametrize("extra", [1, 3, None])
def test_the_average_over_extra_variables_is_the_density_of_samples(extra: int | None) -> None:
    model = flow(extra).double()
    line = torch.linspace(-7, 7, 81, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    cell = float(line[1] - line[0]) ** 2
    with torch.no_grad():
        densities = torch.stack([model.log_ratio(grid, RandomStream(3, k)).exp() for k in range(200)])
    totals = densities.sum(1) * cell
    assert abs(float(totals.mean()) - 1) < 4 * float(totals.std()) / 200**0.5 < 0.05
    x, _ = model.sample_and_log_ratio(40_000, RandomStream(5))
    found = densities @ grid.square() * cell
    error = (found.var(0) / 200 + x.square().var(0) / len(x)).sqrt()
    assert bool(((found.mean(0) - x.square().mean(0)).abs() < 4 * error).all())


def test_it_learns_from_an_energy() -> None:
    model = trained(Problem(STATE), ReverseKlSpec())
    x, log_ratio = model.sample_and_log_ratio(20_000, RandomStream(9))
    log_weights = (-STATE.reduced_energy(x) - log_ratio).numpy()
    estimate, bound = importance_beta_f(log_weights), variational_beta_f(log_weights)
    assert abs(estimate.value - exact()) < 4 * (estimate.standard_error or 0.0) < 0.05
    assert exact() < bound.value < exact() + 0.1


def test_it_learns_from_data() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4000, 2, generator=generator) @ torch.tensor([[1.0, 0.8], [0.0, 0.5]]) + torch.tensor([1.0, -2.0])
    model = trained(Problem(data=TrainingData(x[:3500], x[3500:])), MaximumLikelihoodSpec())
    entropy = 1 + torch.log(torch.tensor(2 * torch.pi)) + torch.log(torch.tensor(0.5))
    with torch.no_grad():
        bound = -model.log_ratio(x[3500:], RandomStream(4)).mean()
        many = torch.stack([model.log_ratio(x[3500:], RandomStream(5, k)) for k in range(50)])
    density = -(torch.logsumexp(many, 0) - torch.log(torch.tensor(50.0))).mean()
    assert float(density) < float(bound)
    assert abs(float(density) - float(entropy)) < 0.12
    drawn = model.sample(20_000, RandomStream(2))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([1.0, -2.0]), atol=0.1, rtol=0)
