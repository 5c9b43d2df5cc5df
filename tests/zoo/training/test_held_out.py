"""Learning from data: held-out data judges, the best weights are kept, and a restored training goes on exactly."""

import json
from dataclasses import replace
from itertools import islice

import pytest
import torch
from safetensors.torch import load, save

from zoo.catalog import build, build_objective
from zoo.core.models import ConditionalModel, Model
from zoo.core.spaces import Bits
from zoo.specs.models.conditions import NO_CONDITION, ConditionOn
from zoo.specs.models.made import MadeSpec
from zoo.specs.objectives import MaximumLikelihoodSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem, Trainable, TrainingData
from zoo.training.state import StepInfo, TrainState, state_metadata, state_tensors
from zoo.training.trainer import Trainer, take_best_weights, train

SPACE = Bits(SpaceSpec(kind="bits", event_shape=(8,)))
LABELS = ConditionOn(label=2)


def data() -> TrainingData:
    """A few strings with many bits of one kind, by class: easy to learn by heart."""
    label = torch.arange(60) % 2
    even = torch.rand(60, 8, generator=torch.Generator().manual_seed(2))
    x = (even < 0.3 + 0.4 * label[:, None]).to(torch.uint8)
    return TrainingData(x[:30], x[30:], label[:30], label[30:])


def model_of(conditions: ConditionOn) -> Model | ConditionalModel:
    return build(MadeSpec(width=40, condition_on=conditions), SPACE, seed=1)


def trainer_of(conditions: ConditionOn, **training: object) -> Trainer:
    fields = {"batch_size": 40, "max_steps": 60, "learning_rate": 0.03, "evaluate_every": 5, "beta_anneal_steps": 0}
    spec = TrainingSpec.model_validate(fields | training)
    problem = Problem(data=data(), condition_on=conditions)
    return Trainer(build_objective(MaximumLikelihoodSpec()), problem, spec)


def run(trainer: Trainer, state: TrainState, steps: int) -> tuple[TrainState, list[StepInfo]]:
    infos = []
    for after, info in islice(train(trainer, state), steps):
        state = after
        infos.append(replace(info, seconds=0.0))
    return state, infos


def nll(trainer: Trainer, model: Trainable) -> float:
    return float(trainer.held_out_nll(model).mean())


@pytest.mark.parametrize("conditions", [NO_CONDITION, LABELS], ids=["plain", "by class"])
def test_the_best_weights_are_kept_and_taken(conditions: ConditionOn) -> None:
    trainer = trainer_of(conditions)
    state, infos = run(trainer, trainer.init(model_of(conditions)), 60)
    measured = [info.held_out_nll for info in infos[4::5]]
    lowest = min(value for value in measured if value is not None)
    assert infos[3].held_out_nll is None
    assert state.held_out.lowest == lowest
    assert state.held_out.lowest_step == 5 * (measured.index(lowest) + 1)
    last = nll(trainer, state.model)
    assert state.held_out.last == pytest.approx(last, abs=1e-12)
    assert last > lowest + 0.1  # it has learnt the others by heart
    take_best_weights(state)
    assert nll(trainer, state.model) == pytest.approx(lowest, abs=1e-12)


def test_the_likelihood_of_held_out_data_is_that_of_its_own_class() -> None:
    trainer = trainer_of(LABELS)
    state, _ = run(trainer, trainer.init(model_of(LABELS)), 30)
    held_out, labels = data().held_out, data().held_out_labels
    assert labels is not None
    assert isinstance(state.model, ConditionalModel)
    found = trainer.held_out_nll(state.model)
    one_by_one = [state.model.at(y.view(1, 1)).log_prob(x[None]) for x, y in zip(held_out, labels, strict=True)]
    torch.testing.assert_close(found, -torch.cat(one_by_one).detach(), atol=1e-5, rtol=1e-5)
    wrong = -state.model.at(1 - labels[:, None]).log_prob(held_out).detach()
    assert float(wrong.mean()) > float(found.mean()) + 0.1


@pytest.mark.parametrize("conditions", [NO_CONDITION, LABELS], ids=["plain", "by class"])
def test_a_restored_training_goes_on_to_the_last_bit_and_knows_the_best_weights(conditions: ConditionOn) -> None:
    trainer = trainer_of(conditions)
    whole, infos = run(trainer, trainer.init(model_of(conditions)), 60)
    half, first = run(trainer, trainer.init(model_of(conditions)), 33)
    tensors, words = load(save(state_tensors(half))), json.loads(json.dumps(state_metadata(half)))
    rest, second = run(trainer, trainer.restore(model_of(conditions), tensors, words), 27)
    assert first + second == infos
    assert rest.held_out == whole.held_out
    assert half.held_out.lowest_step < 33
    for found, expected in ((rest.kept, whole.kept), (rest.model.state_dict(), whole.model.state_dict())):
        assert set(found) == set(expected) != set()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    lost = {name: value for name, value in tensors.items() if not name.startswith("kept.")}
    assert trainer.restore(model_of(conditions), lost, words).kept == {}


def test_a_plateau_is_that_of_held_out_data() -> None:
    trainer = trainer_of(NO_CONDITION, max_steps=500, stop_when={"plateau_steps": 40})
    state, infos = run(trainer, trainer.init(model_of(NO_CONDITION)), 500)
    assert infos[-1].stop_reason == "plateau"
    assert infos[-1].step == state.held_out.lowest_step + 40
    assert infos[-1].loss < infos[-41].loss


def test_without_held_out_data_nothing_is_judged() -> None:
    trainer = trainer_of(NO_CONDITION, max_steps=10)
    whole = data()
    problem = Problem(data=TrainingData(whole.samples, whole.held_out[:0]))
    state, infos = run(replace(trainer, problem=problem), trainer.init(model_of(NO_CONDITION)), 10)
    assert {info.held_out_nll for info in infos} == {None}
    assert state.kept == {}
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    take_best_weights(state)
    assert all(torch.equal(before[name], value) for name, value in state.model.state_dict().items())


@pytest.mark.parametrize("steps", [3, 12])
def test_the_last_weights_are_judged_also_between_two_evaluations(steps: int) -> None:
    trainer = trainer_of(NO_CONDITION, max_steps=steps, learning_rate=0.003, learning_rate_schedule="constant")
    state, _ = run(trainer, trainer.init(model_of(NO_CONDITION)), steps)
    assert state.held_out.lowest_step == steps  # it still falls: the last ones are the best
    assert state.held_out.lowest == pytest.approx(nll(trainer, state.model), abs=1e-12)
