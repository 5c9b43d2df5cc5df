"""The path-wise gradient of the reverse-KL loss: unbiased against quadrature, less noisy than the score function."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble, spins
from zoo.catalog import build, build_model, build_target
from zoo.core.models import ConditionalModel, Model, Reparametrised
from zoo.core.random import RandomStream
from zoo.core.symmetries import images
from zoo.core.targets import Ensemble, States, ThermodynamicState
from zoo.models.autoregressive import Autoregressive
from zoo.models.paths import SequentialPath, reparametrised
from zoo.models.real_values import ContinuousValues, MixtureValues
from zoo.objectives.base import Batch
from zoo.objectives.path_wise import path_wise_mean
from zoo.objectives.reverse_kl import ReverseKl
from zoo.objectives.sampled import Sampled
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.continuous_autoregressive import ContinuousAutoregressiveSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.double_well import DoubleWellSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

Gradient = Literal["score_function", "path_wise"]
BATCH_SIZE = 256
NUM_BATCHES = 150
STANDARD_ERRORS = 5.0
WELL = DoubleWellSpec(a=0.5, b=1.0, c=0.3)
NORMAL = GaussianSpec(precision=((1.0, 0.6), (0.6, 2.0)))


@dataclass(frozen=True)
class Case:
    """A model of two variables and its target; the loss may have a penalty for a symmetry that the model lacks."""

    components: int
    target: TargetSpec
    symmetry: Literal["none", "z2"] = "none"
    penalty: bool = False
    betas: tuple[float, ...] = (1.0,)

    def model(self) -> Model:
        spec = ContinuousAutoregressiveSpec(width=5, components=self.components, symmetry=self.symmetry)
        model = build_model(spec, build_target(self.target).space, seed=0)
        scramble(model, scale=0.2)
        return model

    @property
    def states(self) -> States:
        parts = tuple(ThermodynamicState(build_target(self.target), beta) for beta in self.betas)
        return parts[0] if len(parts) == 1 else Ensemble(parts)

    @property
    def batch(self) -> Batch:
        return Batch(BATCH_SIZE, self.states, images=images(("z2",), self.target.space) if self.penalty else None)


CASES = (
    Case(1, NORMAL),
    Case(2, NORMAL),
    Case(1, WELL),
    Case(2, WELL),
    Case(2, WELL, symmetry="z2"),
    Case(2, NORMAL, penalty=True),
    Case(2, NORMAL, betas=(0.5, 1.5)),
)
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def flat_gradient(value: Tensor, model: Model) -> Tensor:
    gradients = torch.autograd.grad(value, list(model.parameters()))
    return torch.cat([g.flatten() for g in gradients]).double()


@cache
def exact_gradient(case: Case) -> Tensor:
    """Of the integral of q (mean beta E + ln q + penalty), by the trapezoidal rule."""
    model, line = case.model(), torch.linspace(-12, 12, 241, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    log_prob = model.log_prob(x)
    f = sum(case.betas) / len(case.betas) * build_target(case.target).energy(x) + log_prob
    if case.penalty:
        f = f + log_prob - model.log_prob(-x)
    return flat_gradient((log_prob.exp() * f).sum() * 0.1**2, model)


@cache
def estimates(case: Case, gradient: Gradient) -> Tensor:
    """The estimator's gradient on many batches, shape (batch, parameter)."""
    objective, model, batch = ReverseKl(ReverseKlSpec(gradient=gradient)), case.model(), case.batch
    losses = (objective(model, batch, RandomStream(21, domain=k)) for k in range(NUM_BATCHES))
    return torch.stack([flat_gradient(loss.value, model) for loss in losses])


def largest_deviation(gradients: Tensor, exact: Tensor) -> float:
    """Of the mean of ``gradients`` from ``exact``, in standard errors, over all parameters."""
    error = gradients.std(0) / len(gradients) ** 0.5
    return float(((gradients.mean(0) - exact).abs() / error.clamp_min(1e-9)).max())


@every_case
@pytest.mark.parametrize("gradient", ["score_function", "path_wise"])
def test_the_gradient_is_that_of_the_integrated_loss_within_its_error(case: Case, gradient: Gradient) -> None:
    assert largest_deviation(estimates(case, gradient), exact_gradient(case)) < STANDARD_ERRORS


@pytest.mark.parametrize("case", CASES[:4], ids=str)
def test_the_path_wise_gradient_is_less_noisy(case: Case) -> None:
    noise = {name: float(estimates(case, name).var(0).sum()) for name in ("score_function", "path_wise")}
    assert noise["path_wise"] < noise["score_function"] / 2


def test_the_gradient_of_a_conditional_model_is_the_mean_over_its_conditions() -> None:
    spec = ContinuousAutoregressiveSpec(width=5, components=2, condition_on=ConditionOn(beta=(0.5, 1.5)))
    target, betas = build_target(NORMAL), torch.tensor([[0.5], [1.5]], dtype=torch.float64)
    built = build(spec, target.space, seed=0)
    assert isinstance(built, ConditionalModel)
    scramble(built, scale=0.2)
    line = torch.linspace(-12, 12, 241, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    exact, weights = torch.zeros(()), list(built.parameters())
    for beta in betas:
        log_prob = built.at(beta[None]).log_prob(x)
        exact = exact + (log_prob.exp() * (beta * target.energy(x) + log_prob)).sum() * 0.1**2 / 2
    wanted = torch.cat([g.flatten() for g in torch.autograd.grad(exact, weights)]).double()
    model = built.at(betas.repeat_interleave(BATCH_SIZE // 2, 0))
    batch = Batch(BATCH_SIZE, Ensemble(tuple(ThermodynamicState(target, float(beta)) for beta in betas)))
    objective = ReverseKl(ReverseKlSpec(gradient="path_wise"))
    values = (objective(model, batch, RandomStream(21, domain=k)).value for k in range(NUM_BATCHES))
    found = torch.stack([torch.cat([g.flatten() for g in torch.autograd.grad(v, weights)]).double() for v in values])
    assert largest_deviation(found, wanted) < STANDARD_ERRORS


class WithoutMemory(Reparametrised):
    """A planted fault: later variables do not follow those before them."""

    def __init__(self, model: Autoregressive, values: ContinuousValues) -> None:
        self._model, self._values = model, values

    def pull_back(self, x: Tensor, gradient: Tensor) -> Tensor:
        parameters = self._model.network(self._values.encode(x))
        response = self._values.response(parameters.detach(), x)
        return torch.sum(parameters * (response * gradient.unsqueeze(2)))


def path_gradients(case: Case, path: Reparametrised, model: Model) -> Tensor:
    """The gradient through ``path`` for many batches."""
    rows = []
    for k in range(NUM_BATCHES):
        x = model.sample(BATCH_SIZE, RandomStream(21, domain=k))
        position = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(model.log_prob(position).sum(), position)
        value = path.pull_back(x, slope - case.states.reduced_force(x)) / BATCH_SIZE
        rows.append(torch.cat([g.flatten() for g in _all_gradients(value, model)]).double())
    return torch.stack(rows)


def _all_gradients(value: Tensor, model: Model) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, list(model.parameters()), allow_unused=True, materialize_grads=True)


def test_a_path_on_which_later_variables_do_not_follow_is_caught() -> None:
    case = CASES[1]
    model = case.model()
    assert isinstance(model, Autoregressive)
    values = model.network.values
    assert isinstance(values, MixtureValues)
    right = path_gradients(case, SequentialPath(model, values), model)
    wrong = path_gradients(case, WithoutMemory(model, values), model)
    assert largest_deviation(right, exact_gradient(case)) < STANDARD_ERRORS
    assert largest_deviation(wrong, exact_gradient(case)) > 2 * STANDARD_ERRORS


def test_samples_move_as_the_pulled_back_gradient_says() -> None:
    spec = ContinuousAutoregressiveSpec(width=7, depth=2, components=1)
    model = build_model(spec, build_target(GaussianSpec(precision=tuple(map(tuple, torch.eye(5).tolist())))).space, 1)
    scramble(model, scale=0.1)
    path, rng = reparametrised(model), RandomStream(3)
    assert path is not None
    x = model.sample(50, rng)
    g = torch.randn(50, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = list(model.parameters())
    slopes = _all_gradients(path.pull_back(x, g), model)
    step = 1e-2
    directions = [torch.randn(w.shape, generator=torch.Generator().manual_seed(2)) for w in weights]
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for w, direction in zip(weights, directions, strict=True):
                w.add_(direction, alpha=sign * step)
            ends.append((model.sample(50, rng).double() * g).sum())
            for w, direction in zip(weights, directions, strict=True):
                w.sub_(direction, alpha=sign * step)
    measured = float(ends[0] - ends[1]) / (2 * step)
    told = float(sum((s * d).sum() for s, d in zip(slopes, directions, strict=True)))
    assert told == pytest.approx(measured, rel=1e-2)


@pytest.mark.parametrize("gradient", ["score_function", "path_wise"])
def test_a_normal_distribution_is_learnt_to_its_free_energy(gradient: Gradient) -> None:
    spec = GaussianSpec(precision=((2.0, -0.7, 0.1), (-0.7, 0.5, 0.0), (0.1, 0.0, 3.0)), beta=0.6)
    target = build_target(spec)
    model = build_model(ContinuousAutoregressiveSpec(components=1, width=16), target.space, seed=1)
    training = TrainingSpec(batch_size=256, max_steps=400, learning_rate=0.02)
    objective = ReverseKl(ReverseKlSpec(gradient=gradient))
    trainer = Trainer(objective, Problem(ThermodynamicState(target, spec.beta)), training)
    *_, (_, last) = train(trainer, trainer.init(model))
    exact = -0.5 * (3 * torch.tensor(2 * torch.pi / 0.6).log() - torch.tensor(spec.matrix).logdet())
    assert last.parts["variational_beta_f"] == pytest.approx(float(exact), abs=1e-2)
    assert last.parts["variational_beta_f"] > float(exact) - 3 * last.parts["standard_error"] - 1e-4


def test_discrete_models_and_targets_have_no_path() -> None:
    state = ThermodynamicState(build_target(IsingSpec(shape=(2, 2))), 1.0)
    model = build_model(MadeSpec(width=4), spins((2, 2)), seed=0)
    assert reparametrised(model) is None
    with pytest.raises(CapabilityMissingError, match=r"model of spins .* use 'score_function'"):
        ReverseKl(ReverseKlSpec(gradient="path_wise"))(model, Batch(8, state), RandomStream(0))
    with pytest.raises(CapabilityMissingError, match="target on spins"):
        state.reduced_force(torch.zeros(2, 2, 2))
    real = Case(1, NORMAL).model()
    x = real.sample(4, RandomStream(0))
    sampled = Sampled(real, state, x.view(2, 2, 2), torch.zeros(2).double(), torch.zeros(2).double())
    with pytest.raises(CapabilityMissingError, match="target on spins"):
        path_wise_mean(sampled)
