"""Flows with stochastic blocks: their path weights against exact free energies, and what training gains."""

from typing import Literal, get_args

import numpy as np
import pytest
import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.catalog import build_objective, build_target, build_trainable
from zoo.core.models import TargetedModel, Weighable, density_of
from zoo.core.random import RandomStream
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.estimators.weights import forward_effective_sample_fraction
from zoo.models import markov_steps
from zoo.models.stochastic_flow import StochasticFlow
from zoo.specs.errors import CapabilityMissingError, InvalidValueError
from zoo.specs.models.stochastic_flow import StochasticFlowSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.double_well import DoubleWellSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

Step = Literal["metropolis", "langevin", "hmc"]
WELL = DoubleWellSpec()
SIZES: dict[Step, float] = {"metropolis": 0.6, "langevin": 0.35, "hmc": 0.25}
SMALL = StochasticFlowSpec(blocks=3, couplings=2, width=8, depth=1, steps=4, leapfrogs=4)
every_step = pytest.mark.parametrize("step", get_args(Step))


def flow(step: Step, target: TargetSpec = WELL, **changes: object) -> StochasticFlow:
    spec = SMALL.model_copy(update={"step": step, "step_size": SIZES[step]} | changes)
    model = build_trainable(spec, build_target(target).space, seed=1)
    assert isinstance(model, StochasticFlow)
    return model


def state_of(target: TargetSpec = WELL) -> ThermodynamicState:
    return ThermodynamicState(build_target(target), target.state_beta)


def log_weights(model: Weighable, state: ThermodynamicState, n: int, seed: int = 7) -> Float64[np.ndarray, " sample"]:
    x, log_ratio = model.sample_and_log_ratio(n, RandomStream(seed))
    return np.asarray((-state.reduced_energy(x) - log_ratio).numpy())


def exact(state: ThermodynamicState) -> float:
    assert isinstance(state.target, HasExactFreeEnergy)
    return state.target.exact_beta_f(state.beta)


def trained(model: TargetedModel, state: ThermodynamicState, steps: int = 200) -> TargetedModel:
    spec = TrainingSpec(batch_size=256, max_steps=steps, learning_rate=0.01, beta_anneal_steps=0, seed=1)
    trainer = Trainer(build_objective(ReverseKlSpec()), Problem(state), spec)
    state_now = trainer.init(model)
    *_, (ended, _) = train(trainer, state_now)
    assert isinstance(ended.model, TargetedModel)
    return ended.model


@every_step
def test_path_weights_give_the_free_energy_and_their_mean_a_bound(step: Step) -> None:
    state = state_of()
    found = log_weights(flow(step).toward(state), state, 40_000)
    estimate, bound = importance_beta_f(found), variational_beta_f(found)
    assert estimate.standard_error is not None
    assert abs(estimate.value - exact(state)) < 4 * estimate.standard_error < 0.1
    assert bound.value > exact(state)


@every_step
def test_ways_back_give_the_density_of_samples(step: Step) -> None:
    """<exp l> over ways back from x is q(x): it integrates to one, and gives the moments of samples."""
    model = flow(step).toward(state_of())
    line = torch.linspace(-3.2, 3.2, 41)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        ways = [model.log_ratio(grid, RandomStream(3, k)).exp() for k in range(100)]
    cell = float(line[1] - line[0]) ** 2
    totals = torch.stack(ways).sum(1) * cell  # one for each draw of ways, independent of each other
    assert abs(float(totals.mean()) - 1) < 4 * float(totals.std()) / len(ways) ** 0.5 < 0.15
    x, _ = model.sample_and_log_ratio(40_000, RandomStream(5))
    for of in (Tensor.square, torch.abs):
        found = torch.stack(ways) @ of(grid).double() * cell
        drawn = of(x).double()
        error = (found.var(0) / len(ways) + drawn.var(0) / len(drawn)).sqrt()
        assert bool(((found.mean(0) - drawn.mean(0)).abs() < 4 * error).all())


@every_step
def test_weights_forwards_and_backwards_meet_at_the_exact_free_energy(step: Step) -> None:
    """Crooks: <1 / (1 + Z / w)> forwards is <1 / (1 + w / Z)> backwards."""
    state = state_of()
    model = flow(step).toward(state)
    forward = torch.from_numpy(log_weights(model, state, 20_000))
    x = drawn(20_000, seed=11)
    with torch.no_grad():
        backward = -state.reduced_energy(x) - model.log_ratio(x, RandomStream(13))
    log_z = -exact(state)
    there, back = torch.sigmoid(forward - log_z), torch.sigmoid(log_z - backward)
    error = float((there.var() + back.var()).sqrt()) / 20_000**0.5
    assert abs(float(there.mean() - back.mean())) < 4 * error < 0.05


def drawn(n: int, seed: int) -> Tensor:
    """Samples of the double well, by inversion along the first coordinate."""
    line = torch.linspace(-5, 5, 20_001, dtype=torch.float64)
    cumulative = torch.exp(-((line.square() - WELL.b).square())).cumsum(0)
    generator = torch.Generator().manual_seed(seed)
    uniforms = torch.rand(n, generator=generator, dtype=torch.float64) * cumulative[-1]
    return torch.stack([line[torch.searchsorted(cumulative, uniforms)], torch.randn(n, generator=generator)], 1).float()


def test_the_wrong_sign_of_the_heat_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = markov_steps._accepted
    monkeypatch.setattr(markov_steps, "_accepted", lambda *given: (accepted(*given)[0], -accepted(*given)[1]))
    state = state_of()
    estimate = importance_beta_f(log_weights(flow("metropolis").toward(state), state, 40_000))
    assert abs(estimate.value - exact(state)) > 0.1


@every_step
def test_training_lowers_the_bound_and_keeps_both_wells(step: Step) -> None:
    state = state_of()
    model = flow(step)
    before = variational_beta_f(log_weights(model.toward(state), state, 20_000))
    after = trained(model, state).toward(state)
    found = log_weights(after, state, 20_000)
    estimate, bound = importance_beta_f(found), variational_beta_f(found)
    assert exact(state) < bound.value < before.value - 0.05
    assert abs(estimate.value - exact(state)) < 4 * (estimate.standard_error or 0.0) < 0.1
    x = after.sample(20_000, RandomStream(2))
    assert 0.47 < float((x[:, 0] > 0).float().mean()) < 0.53
    reference = drawn(5000, seed=2)
    with torch.no_grad():
        backward = (-state.reduced_energy(reference) - after.log_ratio(reference, RandomStream(3))).numpy()
    assert forward_effective_sample_fraction(backward) > 0.3


def test_gradients_reach_every_weight_that_is_learnt() -> None:
    model = flow("langevin")
    x, log_ratio = model.toward(state_of()).differentiable_sample(50, RandomStream(1))
    (x.square().sum() + log_ratio.sum()).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters() if p.requires_grad)
    assert model.log_step_size.requires_grad
    assert not flow("hmc").log_step_size.requires_grad


def test_there_is_no_likelihood() -> None:
    with pytest.raises(CapabilityMissingError, match="no likelihood"):
        density_of(flow("hmc").toward(state_of()))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"symmetry": "z2"}, "no likelihood to average"),
        ({"condition_on": {"beta": (0.5, 1.0)}}, "leave condition_on out"),
    ],
)
def test_what_it_cannot_have_is_refused(changes: dict[str, object], why: str) -> None:
    spec = StochasticFlowSpec.model_validate({"family": "stochastic_flow"} | changes)
    with pytest.raises(InvalidValueError, match=why):
        build_trainable(spec, build_target(WELL).space, seed=1)
