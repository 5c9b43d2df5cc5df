"""The alpha-divergence: its gradient against enumeration and quadrature, and the bias that it declares, measured."""

from functools import cache
from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble, spins
from tests.zoo.objectives.exact_gradients import (
    SHAPE,
    STANDARD_ERRORS,
    enumerated_loss,
    estimates,
    flat_gradient,
    ising_state,
    largest_deviation,
    scrambled,
)
from zoo.catalog import OBJECTIVES, build, build_model, build_target
from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.targets import Ensemble, States, ThermodynamicState
from zoo.objectives.alpha_divergence import AlphaDivergence
from zoo.objectives.base import Batch, Objective
from zoo.objectives.reverse_kl import ReverseKl
from zoo.specs.errors import CapabilityMissingError, InvalidValueError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.continuous_autoregressive import ContinuousAutoregressiveSpec
from zoo.specs.models.iaf import IafSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.objectives import AlphaDivergenceSpec, ReverseKlSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

Gradient = Literal["score_function", "path_wise"]
MADE = MadeSpec(width=5)
FEW, MANY = 16, 64  # samples of a batch whose gradient is biased; the second is four times the first
MILD = ising_state(beta=0.1)
"""Near enough to the model for the leading order of the bias to be most of it."""
NORMAL = GaussianSpec(precision=((1.0, 0.6), (0.6, 2.0)))


def enumerated_divergence(model: Model, state: States, alpha: float) -> Tensor:
    """ln sum_x q (p / q)^alpha / (alpha (alpha - 1)) over all configurations, differentiable."""
    x = spins(SHAPE).enumerate()
    log_q, log_p = model.log_prob(x), torch.log_softmax(-state.reduced_energy(x), 0)
    return torch.logsumexp(log_q + alpha * (log_p - log_q), 0) / (alpha * (alpha - 1))


def in_groups(objective: Objective, model: Model, num_samples: int, groups: int, seed: int = 0) -> Tensor:
    """The mean gradient of ``groups`` independent batches of ``num_samples``, which are states of one ensemble."""
    batch = Batch(num_samples * groups, Ensemble((MILD,) * groups))
    return flat_gradient(objective(model, batch, RandomStream(5, domain=seed)).value, model)


@pytest.mark.parametrize("alpha", [-1.0, 0.5, 2.0, 3.0])
def test_the_gradient_of_large_batches_is_that_of_the_enumerated_divergence(alpha: float) -> None:
    model, objective = scrambled(MADE), AlphaDivergence(AlphaDivergenceSpec(alpha=alpha))
    found = estimates(lambda k: objective(model, Batch(4096, ising_state()), RandomStream(k)).value, model, 40)
    exact = flat_gradient(enumerated_divergence(model, ising_state(), alpha), model)
    assert largest_deviation(found, exact) < STANDARD_ERRORS
    assert largest_deviation(found, 0.8 * exact) > STANDARD_ERRORS
    assert largest_deviation(found, -exact) > STANDARD_ERRORS


def test_the_value_is_the_divergence_and_the_parts_have_the_free_energy() -> None:
    model, state = scrambled(MADE), ising_state()
    for alpha in (-1.0, 0.5, 2.0):
        loss = AlphaDivergence(AlphaDivergenceSpec(alpha=alpha))(model, Batch(40_000, state), RandomStream(3))
        exact = float(enumerated_divergence(model, state, alpha).detach())
        assert float(loss.value.detach()) == pytest.approx(exact, rel=0.05)
        assert float(loss.parts["alpha_divergence"]) == pytest.approx(float(loss.value.detach()), abs=1e-12)
    plain = ReverseKl(ReverseKlSpec())(model, Batch(40_000, state), RandomStream(3))
    assert torch.equal(loss.log_weights, plain.log_weights)
    for name in ("variational_beta_f", "standard_error", "reduced_energy", "log_prob"):
        assert float(loss.parts[name]) == float(plain.parts[name])
    assert not any(part.requires_grad for part in loss.parts.values())


def leading_bias(model: Model, alpha: float) -> Tensor:
    """n times the bias of the gradient for n -> infinity: <v^2 (g - R)> / (alpha <v>^2), R = <v g> / <v>, v = w^alpha.

    g = grad ln q(x), by enumeration: the second-order expansion of a ratio of two means.
    """
    x = spins(SHAPE).enumerate()
    log_q = model.log_prob(x).detach()
    g = torch.stack([flat_gradient(model.log_prob(row[None]).sum(), model) for row in x])
    q = log_q.exp()
    v = (alpha * (-MILD.reduced_energy(x) - log_q)).softmax(0)
    mean = (q * v).sum()
    ratio = ((q * v)[:, None] * g).sum(0) / mean
    return ((q * v**2)[:, None] * (g - ratio)).sum(0) / (alpha * mean**2)


@cache
def measured_bias(kind: str, num_samples: int) -> tuple[float, float]:
    """The bias along ``leading_bias`` in its unit, times the number of samples, and its standard error."""
    model = scrambled(MADE, scale=0.1)
    along = leading_bias(model, 2.0)
    if kind == "alpha_divergence":
        objective: Objective = AlphaDivergence(AlphaDivergenceSpec())
        exact = flat_gradient(enumerated_divergence(model, MILD, 2.0), model)
    else:
        objective = ReverseKl(ReverseKlSpec())
        exact = flat_gradient(enumerated_loss(model, MILD), model)
    means = torch.stack([in_groups(objective, model, num_samples, 4000, seed) for seed in range(10)])
    off = num_samples * ((means - exact) @ along) / along.square().sum()
    return float(off.mean()), float(off.std()) / len(off) ** 0.5


def test_the_declared_bias_falls_as_one_over_the_batch_and_is_the_one_of_a_ratio() -> None:
    assert AlphaDivergenceSpec.biased is not None
    (few, error), (many, many_error) = (measured_bias("alpha_divergence", n) for n in (FEW, MANY))
    assert few > 10 * error  # the bias is seen
    assert many > 10 * many_error
    assert MANY / FEW * few / many == pytest.approx(4, rel=0.2)  # it falls about fourfold
    assert many == pytest.approx(1, abs=4 * many_error + 2 / MANY)


def test_an_estimator_that_declares_no_bias_has_none_in_the_same_measure() -> None:
    assert [spec.biased is None for spec in OBJECTIVES] == [spec is not AlphaDivergenceSpec for spec in OBJECTIVES]
    none, error = measured_bias("reverse_kl", FEW)
    assert abs(none) < 4 * error


def test_for_small_alpha_it_is_the_reverse_divergence() -> None:
    model, batch = scrambled(MADE), Batch(64, ising_state())
    small = AlphaDivergence(AlphaDivergenceSpec(alpha=1e-4))(model, batch, RandomStream(1)).value
    reverse = ReverseKl(ReverseKlSpec(baseline="batch_mean"))(model, batch, RandomStream(1)).value
    torch.testing.assert_close(flat_gradient(small, model), flat_gradient(reverse, model), rtol=1e-2, atol=1e-3)


def flow(spec: ModelSpec) -> Model:
    model = build_model(spec, build_target(NORMAL).space, seed=0)
    scramble(model, 0.1)
    return model


FLOWS = (
    RealNvpSpec(couplings=3, width=5, depth=1, scale=1.6),
    ContinuousAutoregressiveSpec(width=5, components=1, scale=1.6),
)


@cache
def flow_gradients(spec: ModelSpec, gradient: Gradient) -> Tensor:
    objective, model = AlphaDivergence(AlphaDivergenceSpec(alpha=2.0, gradient=gradient)), flow(spec)
    batch = Batch(2048, ThermodynamicState(build_target(NORMAL), 1.0))
    return estimates(lambda k: objective(model, batch, RandomStream(7, domain=k)).value, model, 60)


@pytest.mark.parametrize("gradient", ["score_function", "path_wise"])
@pytest.mark.parametrize("spec", FLOWS, ids=lambda spec: str(spec.family))
def test_both_forms_have_the_gradient_of_the_divergence_by_quadrature(spec: ModelSpec, gradient: Gradient) -> None:
    model, line = flow(spec), torch.linspace(-8, 8, 321, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    exact = flat_gradient(torch.logsumexp(-2 * build_target(NORMAL).energy(x) - model.log_prob(x), 0) / 2, model)
    assert largest_deviation(flow_gradients(spec, gradient), exact) < STANDARD_ERRORS
    assert largest_deviation(flow_gradients(spec, gradient), 0.7 * exact) > STANDARD_ERRORS


def test_along_paths_the_gradient_of_a_flow_is_less_noisy() -> None:
    moving, fixed = (float(flow_gradients(FLOWS[0], name).var(0).sum()) for name in ("path_wise", "score_function"))
    assert moving < fixed / 5


@pytest.mark.parametrize("gradient", ["score_function", "path_wise"])
def test_either_form_vanishes_sample_by_sample_where_the_model_is_the_target(gradient: Gradient) -> None:
    target = build_target(GaussianSpec(precision=((1.0, 0.0), (0.0, 1.0))))
    model = build_model(IafSpec(layers=2, width=4), target.space, seed=0)
    objective = AlphaDivergence(AlphaDivergenceSpec(gradient=gradient))
    for name, weight in model.named_parameters():
        if "output_weight" in name:
            torch.nn.init.zeros_(weight)
    batch = Batch(16, ThermodynamicState(target, 1.0))
    assert float(flat_gradient(objective(model, batch, RandomStream(0)).value, model).abs().max()) < 1e-6
    scramble(model, 0.01)
    assert float(flat_gradient(objective(model, batch, RandomStream(0)).value, model).abs().max()) > 1e-4


def test_by_default_flows_move_their_samples_and_discrete_models_do_not() -> None:
    objective, state = AlphaDivergence(AlphaDivergenceSpec()), ThermodynamicState(build_target(NORMAL), 1.0)
    model = flow(FLOWS[0])
    default, moved = (
        flat_gradient(AlphaDivergence(spec)(model, Batch(64, state), RandomStream(0)).value, model)
        for spec in (AlphaDivergenceSpec(), AlphaDivergenceSpec(gradient="path_wise"))
    )
    assert torch.equal(default, moved)
    assert objective(scrambled(MADE), Batch(8, ising_state()), RandomStream(0)).value.requires_grad
    with pytest.raises(CapabilityMissingError, match="model of spins"):
        AlphaDivergence(AlphaDivergenceSpec(gradient="path_wise"))(
            scrambled(MADE), Batch(8, ising_state()), RandomStream(0)
        )
    with pytest.raises(InvalidValueError, match="there is no target"):
        objective(model, Batch(4), RandomStream(0))


def test_several_states_have_weights_of_their_own() -> None:
    model = build(MadeSpec(width=5, condition_on=ConditionOn(beta=(0.1, 1.2))), spins(SHAPE), seed=0)
    assert isinstance(model, ConditionalModel)
    scramble(model, 0.1)
    betas = torch.tensor([[0.2], [0.9]], dtype=torch.float64)
    states = tuple(ising_state(beta=float(beta)) for beta in betas)
    objective, view = AlphaDivergence(AlphaDivergenceSpec()), model.at(betas.repeat_interleave(2048, 0))
    found = estimates(lambda k: objective(view, Batch(4096, Ensemble(states)), RandomStream(k)).value, model, 40)
    first, second = (
        flat_gradient(enumerated_divergence(model.at(row[None]), state, 2.0), model)
        for row, state in zip(betas, states, strict=True)
    )
    assert largest_deviation(found, (first + second) / 2) < STANDARD_ERRORS
    assert largest_deviation(found, first) > STANDARD_ERRORS


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        (MadeSpec(width=16), IsingSpec(shape=(2, 3), beta=0.5, h=0.3)),
        (RealNvpSpec(couplings=4, width=16), Phi4Spec(shape=(2, 2), mass_squared=1.0, coupling=0.2)),
    ],
)
def test_models_of_either_kind_learn_by_it(spec: ModelSpec, target: TargetSpec) -> None:
    physics = build_target(target)
    model = build_model(spec, physics.space, seed=0)
    scramble(model, 0.2)
    training = TrainingSpec(batch_size=256, max_steps=150, learning_rate=0.02, beta_anneal_steps=0)
    objective = AlphaDivergence(AlphaDivergenceSpec())
    trainer = Trainer(objective, Problem(ThermodynamicState(physics, target.state_beta)), training)
    infos = [info for _, info in train(trainer, trainer.init(model))]
    assert infos[-1].parts["alpha_divergence"] < 0.2 * infos[0].parts["alpha_divergence"]
    assert (infos[-1].effective_sample_fraction or 0) > 0.9
