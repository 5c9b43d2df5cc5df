"""One model learns the density of another: the divergence and its gradients by quadrature, a flow of a flow, resume."""

import json
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Literal

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from tests.conformance.cases import scramble
from tests.zoo.objectives.exact_gradients import flat_gradient, largest_deviation
from zoo.catalog import build_model, build_objective, build_target
from zoo.core.known_densities import KnownDensity
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.estimators.free_energy import importance_beta_f
from zoo.objectives.base import Batch, HasAlternatives
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.models.iaf import IafSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.maf import MafSpec
from zoo.specs.objectives import DistillationSpec, ReverseKlSpec, TeacherSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.state import StepInfo, TrainState, state_metadata, state_tensors
from zoo.training.trainer import Trainer, train

Gradient = Literal["auto", "score_function", "reparametrised", "path_wise"]
PLANE = build_target(GaussianSpec(precision=((1.0, 0.6), (0.6, 2.0)))).space
FIELD = Phi4Spec(shape=(2, 2), mass_squared=1, coupling=0.5)
TEACHER, STUDENT = MafSpec(layers=2, width=8), IafSpec(layers=2, width=8)
STANDARD_ERRORS = 5.0


def spec(gradient: Gradient = "auto") -> DistillationSpec:
    return DistillationSpec(teacher=TeacherSpec(model="good", version=1), gradient=gradient)


def flow(of: DistributionSpec, seed: int) -> Model:
    model = build_model(of, PLANE, seed)
    scramble(model, scale=0.15)
    return model


@cache
def teacher() -> Model:
    return flow(TEACHER, seed=1).requires_grad_(requires_grad=False)


@cache
def student() -> Model:
    return flow(STUDENT, seed=2)


def grid() -> tuple[Tensor, float]:
    line = torch.linspace(-12, 12, 301, dtype=torch.float64)
    return torch.cartesian_prod(line, line), (24 / 300) ** 2


@cache
def exact() -> tuple[float, Tensor]:
    """KL(student || teacher) and its gradient, by the trapezoidal rule."""
    x, area = grid()
    log_q = student().log_prob(x)
    value = (log_q.exp() * (log_q - teacher().log_prob(x))).sum() * area
    return float(value.detach()), flat_gradient(value, student())


def batch() -> Batch:
    return Batch(256, KnownDensity(teacher()))


def test_the_loss_is_the_divergence_from_the_teacher() -> None:
    losses = [build_objective(spec())(student(), batch(), RandomStream(3, domain=k)) for k in range(80)]
    found = torch.stack([loss.parts["kl_divergence"] for loss in losses])
    error = found.std() / len(found) ** 0.5
    assert abs(float(found.mean()) - exact()[0]) < 4 * float(error)
    assert float(error) < 0.1 * exact()[0]
    parts = losses[0].parts
    assert set(parts) == {"kl_divergence", "standard_error", "teacher_log_prob", "log_prob"}
    torch.testing.assert_close(parts["kl_divergence"], parts["log_prob"] - parts["teacher_log_prob"])


@pytest.mark.parametrize("gradient", ["score_function", "reparametrised", "path_wise"])
def test_every_gradient_is_that_of_the_integrated_divergence(gradient: Gradient) -> None:
    objective = build_objective(spec(gradient))
    values = (objective(student(), batch(), RandomStream(4, domain=k)).value for k in range(100))
    found = torch.stack([flat_gradient(value, student()) for value in values])
    assert largest_deviation(found, exact()[1]) < STANDARD_ERRORS
    assert largest_deviation(-found, exact()[1]) > STANDARD_ERRORS


def test_a_student_that_is_its_teacher_has_nothing_to_learn() -> None:
    same = flow(TEACHER, seed=1)
    loss = build_objective(spec("path_wise"))(same, batch(), RandomStream(5))
    assert abs(float(loss.parts["kl_divergence"])) < 1e-5
    assert float(flat_gradient(loss.value, same).abs().max()) < 1e-4
    torch.testing.assert_close(loss.log_weights, torch.zeros_like(loss.log_weights), atol=1e-4, rtol=0)


def test_without_a_density_to_learn_it_says_so() -> None:
    with pytest.raises(InvalidValueError, match="there is no target"):
        build_objective(spec())(student(), Batch(10), RandomStream(1))


def test_gradients_are_chosen_as_for_an_energy() -> None:
    objective = build_objective(spec())
    assert isinstance(objective, HasAlternatives)
    assert tuple(objective.alternatives(student())) == ("reparametrised", "path_wise")
    asked = build_objective(spec("path_wise"))
    assert isinstance(asked, HasAlternatives)
    assert not asked.alternatives(student())


def test_discrete_variables_are_learnt_from_a_teacher_too() -> None:
    space = build_target(IsingSpec(shape=(2, 3))).space
    taught = build_model(MadeSpec(width=12), space, seed=1)
    scramble(taught, scale=0.5)
    taught.requires_grad_(requires_grad=False)
    training = TrainingSpec(max_steps=150, batch_size=300, learning_rate=0.03, beta_anneal_steps=0)
    trainer = Trainer(build_objective(spec()), Problem(teacher=KnownDensity(taught)), training)
    *_, (state, _) = train(trainer, trainer.init(build_model(MadeSpec(width=12), space, seed=2)))
    assert isinstance(state.model, Model)
    assert divergence(state.model, taught) < 0.02


def divergence(model: Model, of: Model) -> float:
    """KL(model || of) from 20,000 samples, in nats."""
    with torch.no_grad():
        x, log_prob = model.sample_and_log_prob(20_000, RandomStream(9))
        return float((log_prob - of.log_prob(x)).mean())


@cache
def taught_on_a_field() -> Model:
    """A masked autoregressive flow that has learnt a small field."""
    state = ThermodynamicState(build_target(FIELD), 1.0)
    training = TrainingSpec(max_steps=300, batch_size=256, learning_rate=0.01, beta_anneal_steps=0)
    trainer = Trainer(build_objective(ReverseKlSpec()), Problem(state), training)
    *_, (end, _) = train(trainer, trainer.init(build_model(MafSpec(layers=3, width=16), state.target.space, seed=1)))
    assert isinstance(end.model, Model)
    return end.model.requires_grad_(requires_grad=False)


def trainer_of(max_steps: int) -> Trainer:
    training = TrainingSpec(max_steps=max_steps, batch_size=256, learning_rate=0.01, beta_anneal_steps=0)
    return Trainer(build_objective(spec()), Problem(teacher=KnownDensity(taught_on_a_field())), training)


def untaught(seed: int = 3) -> Model:
    return build_model(IafSpec(layers=3, width=16), build_target(FIELD).space, seed)


def test_a_flow_that_samples_in_one_pass_learns_one_that_does_not() -> None:
    trainer, model = trainer_of(400), untaught()
    before = divergence(model, taught_on_a_field())
    *_, (_, info) = train(trainer, trainer.init(model))
    found = divergence(model, taught_on_a_field())
    # for ln w of variance s^2 the divergence is s^2 / 2 and the effective sample fraction exp(-s^2): above 0.96
    assert found < 0.02
    assert found < before / 20
    assert info.beta == 1
    assert info.parts["kl_divergence"] == pytest.approx(found, abs=0.03)
    with torch.no_grad():
        x, log_prob = model.sample_and_log_prob(20_000, RandomStream(8))
    normalised = importance_beta_f((taught_on_a_field().log_prob(x) - log_prob).numpy())
    assert normalised.standard_error is not None
    assert abs(normalised.value) < 4 * normalised.standard_error  # a density: ln Z = 0


def run(trainer: Trainer, state: TrainState, steps: int) -> tuple[TrainState, list[StepInfo]]:
    infos = []
    for after, info in islice(train(trainer, state), steps):
        state = after
        infos.append(replace(info, seconds=0.0))
    return state, infos


def test_a_restored_distillation_goes_on_to_the_last_bit() -> None:
    trainer = trainer_of(20)
    whole, infos = run(trainer, trainer.init(untaught()), 20)
    half, first = run(trainer, trainer.init(untaught()), 11)
    tensors, words = load(save(state_tensors(half))), json.loads(json.dumps(state_metadata(half), allow_nan=False))
    assert not [name for name in tensors if "teacher" in name]
    rest, second = run(trainer, trainer.restore(untaught(), tensors, words), 9)
    assert first + second == infos
    ours, theirs = rest.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
