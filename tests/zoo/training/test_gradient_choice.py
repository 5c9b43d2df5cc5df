"""Which gradient of a flow is taken: the measured variances, what they cost, and that nothing else decides."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any, final

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from tests.zoo.objectives.exact_gradients import flat_gradient
from zoo.catalog import build_model, build_objective, build_target
from zoo.core.models import Model, Weighable
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.objectives.base import Batch, HasAlternatives, Loss, Objective
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.models.iaf import IafSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.maf import MafSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.objectives import AlphaDivergenceSpec, MixedSpec, ObjectiveSpec, ReverseKlSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec
from zoo.training import gradient_choice
from zoo.training.gradient_choice import (
    MINIBATCHES,
    SHARE,
    GradientChoice,
    Moment,
    alternatives_of,
    rechosen,
    relative_costs,
    variance,
)
from zoo.training.problem import Problem
from zoo.training.state import StepInfo, TrainState, state_metadata, state_tensors
from zoo.training.trainer import Trainer, train

STATE = ThermodynamicState(build_target(GaussianSpec(precision=((1.0, 0.6), (0.6, 2.0)))), 1.0)
FLOW = RealNvpSpec(couplings=2, width=5, depth=1)
AUTO = build_objective(ReverseKlSpec(symmetry_penalty=0))
BATCH_SIZE = 64
BOTH = ("reparametrised", "path_wise")


def trainer_of(**training: object) -> Trainer:
    fields = {"batch_size": BATCH_SIZE, "max_steps": 40, "learning_rate": 0.02, "beta_anneal_steps": 0}
    return Trainer(AUTO, Problem(STATE), TrainingSpec.model_validate(fields | training))


def flow(spec: DistributionSpec = FLOW) -> Model:
    return build_model(spec, STATE.target.space, seed=1)


@cache
def trained() -> Model:
    """Nearly the target: a few hundredths of a nat from it."""
    trainer = trainer_of(max_steps=300, batch_size=256)
    *_, (state, info) = train(trainer, trainer.init(flow()))
    assert info.effective_sample_fraction is not None
    assert info.effective_sample_fraction > 0.97
    assert isinstance(state.model, Model)
    return state.model


@cache
def far() -> Model:
    """Ten times as wide as the target."""
    return flow(FLOW.model_copy(update={"scale": 10.0}))


def drawing(model: Weighable) -> Callable[[RandomStream], tuple[Weighable, Batch]]:
    return lambda _: (model, Batch(BATCH_SIZE, STATE))


@cache
def independent_variance(model: Weighable, gradient: str) -> float:
    """The squared norm of the noise of one step's gradient, by 400 steps that nobody else draws."""
    objective = build_objective(ReverseKlSpec(gradient=gradient, symmetry_penalty=0))
    batch = Batch(BATCH_SIZE, STATE)
    found = [flat_gradient(objective(model, batch, RandomStream(77, domain=m)).value, model) for m in range(400)]
    return float(torch.stack(found).var(0).sum())


MODELS: dict[str, Callable[[], Model]] = {"far from the target": far, "near it": trained}


@pytest.mark.parametrize("where", MODELS)
@pytest.mark.parametrize("gradient", BOTH)
def test_the_measured_variance_is_that_of_many_steps(where: str, gradient: str) -> None:
    model = MODELS[where]()
    objective = AUTO.alternatives(model)[gradient] if isinstance(AUTO, HasAlternatives) else AUTO
    found = torch.tensor([variance(objective, drawing(model), RandomStream(5, domain=k)) for k in range(200)])
    error = found.std() / len(found) ** 0.5
    expected = independent_variance(model, gradient)
    assert abs(float(found.mean()) - expected) < 4 * float(error) + 0.2 * expected / len(found) ** 0.5
    assert abs(float(found.mean()) / 2 - expected) > 4 * float(error) / 2  # a wrong factor would be seen


def test_near_the_target_the_path_is_taken_and_far_from_it_what_has_less_noise_for_its_work() -> None:
    moment = Moment(step=83, passed=83, left=10_000)
    for model in (trained(), far()):
        alternatives, draw = alternatives_of(AUTO, model), drawing(model)
        costs = relative_costs(alternatives, draw, RandomStream(3))
        half = int(MINIBATCHES * sum(costs.values()) / gradient_choice.SHARE) // 2
        due = next(at for at in (half, half + 1) if GradientChoice("", costs).is_due(replace(moment, passed=at)))
        before = GradientChoice("reparametrised", costs)
        found = rechosen(before, alternatives, draw, RandomStream(3), replace(moment, step=due, passed=due))
        expected = min(BOTH, key=lambda name: independent_variance(model, name) * costs[name])
        assert found.name == expected
        assert found.measured_at == due
        assert set(found.variances) == set(BOTH)
        ratio = independent_variance(model, "reparametrised") / independent_variance(model, "path_wise")
        assert (ratio > 10) == (model is trained())
    assert expected == "reparametrised"  # far away the noise is the same, and a pass more is work


def test_a_flow_that_learns_changes_over() -> None:
    trainer = trainer_of(max_steps=900)
    infos = [info for _, info in train(trainer, trainer.init(flow()))]
    choices = [info.gradient for info in infos if info.gradient is not None]
    assert len(choices) == len(infos)
    first, last = choices[0], choices[-1]
    assert (first.name, first.measured_at, first.variances) == ("reparametrised", None, {})
    assert last.name == "path_wise"
    assert last.measured_at is not None
    assert choices[last.measured_at] == last != choices[last.measured_at - 1]  # the step that measures takes it


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [(FLOW, 1.4, 2.0), (MafSpec(width=16), 0.9, 2.0), (IafSpec(width=16), 1.5, 30.0)],
    ids=["coupling", "maf", "iaf"],
)
def test_the_work_is_counted_and_not_timed(spec: DistributionSpec, low: float, high: float) -> None:
    model = flow(spec)
    alternatives = alternatives_of(AUTO, model)
    costs = relative_costs(alternatives, drawing(model), RandomStream(3))
    assert costs["reparametrised"] == 1
    assert low < costs["path_wise"] < high
    assert relative_costs(alternatives, drawing(flow(spec)), RandomStream(3)) == costs
    assert set(relative_costs(alternatives, drawing(model), RandomStream(3), costs["path_wise"] / 2)) < set(BOTH)


@final
class Counted(Objective):
    """A gradient of which every one costs ``work`` operations; it counts them."""

    def __init__(self, work: int, tally: list[int]) -> None:
        self.work, self.tally = work, tally

    def __call__(self, model: Weighable, batch: Batch, rng: RandomStream) -> Loss:
        self.tally.append(self.work)
        value: Tensor = torch.stack([p.sum() for p in model.parameters()]).sum() * rng.uniforms(1, 1).sum()
        for _ in range(100 * self.work):
            value = value + 1
        return Loss(value, torch.zeros(0), {})


@pytest.mark.parametrize("max_steps", [10, 300, 400, 1000, 20_000])
@pytest.mark.parametrize("work", [1, 2, 30])
def test_measuring_takes_less_than_a_fiftieth_of_the_work(max_steps: int, work: int) -> None:
    tally: list[int] = []
    alternatives: Mapping[str, Objective] = {"first": Counted(1, tally), "second": Counted(work, tally)}
    choice, measured, draw = GradientChoice("first"), 0, drawing(flow())
    for step in range(max_steps):
        stream = RandomStream(1, domain=step)
        before = choice
        choice = rechosen(choice, alternatives, draw, stream, Moment(step, step, max_steps - step))
        measured += choice.measured_at != before.measured_at
    given_up = work if len(choice.costs) == 1 else 0
    assert sum(tally) <= 0.02 * max_steps + given_up
    assert (measured > 0) == (SHARE * max_steps > MINIBATCHES * (1 + work))
    if measured:
        assert abs(measured - SHARE * max_steps / (MINIBATCHES * sum(choice.costs.values()))) <= 1


def test_nothing_is_measured_before_beta_is_the_targets() -> None:
    choice = GradientChoice("reparametrised", dict.fromkeys(BOTH, 1.0))
    due = [step for step in range(2000) if choice.is_due(Moment(step, step - 500, 2000 - step))]
    assert due[0] > 500
    assert 2 <= len(due) <= 4


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ReverseKlSpec(), BOTH),
        (MixedSpec(), BOTH),
        (ReverseKlSpec(gradient="path_wise"), ()),
        (ReverseKlSpec(gradient="score_function"), ()),
        (AlphaDivergenceSpec(), ()),
    ],
    ids=["auto", "mixed", "path_wise", "score_function", "alpha_divergence"],
)
def test_there_is_a_choice_where_none_was_asked(spec: ObjectiveSpec, expected: tuple[str, ...]) -> None:
    found = alternatives_of(build_objective(spec), flow())
    assert tuple(found) == expected
    spins = build_model(MadeSpec(width=4), build_target(IsingSpec(shape=(2, 2))).space, seed=1)
    assert not alternatives_of(build_objective(spec), spins)


def test_the_alternatives_of_mixed_keep_the_data() -> None:
    objective, model = build_objective(MixedSpec(energy_weight=0.3)), flow()
    batch = Batch(BATCH_SIZE, STATE, torch.ones(5, 2))
    asked = MixedSpec(energy_weight=0.3, reverse_kl=ReverseKlSpec(gradient="path_wise"))
    expected = build_objective(asked)(model, batch, RandomStream(1))
    found = alternatives_of(objective, model)["path_wise"](model, batch, RandomStream(1))
    assert torch.equal(flat_gradient(found.value, model), flat_gradient(expected.value, model))


def run(trainer: Trainer, state: TrainState, steps: int) -> tuple[TrainState, list[StepInfo]]:
    infos = []
    for after, info in islice(train(trainer, state), steps):
        state = after
        infos.append(replace(info, seconds=0.0))
    return state, infos


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("steps", [4, 33], ids=["before work is counted", "between two measurements"])
@pytest.mark.parametrize("spec", [FLOW, MafSpec(layers=2, width=8)], ids=["coupling", "maf"])
def test_a_restored_training_takes_the_same_gradients_to_the_last_bit(
    monkeypatch: pytest.MonkeyPatch, spec: DistributionSpec, steps: int
) -> None:
    monkeypatch.setattr(gradient_choice, "SHARE", 0.5)
    trainer = trainer_of(max_steps=60)
    whole, infos = run(trainer, trainer.init(flow(spec)), 60)
    half, first = run(trainer, trainer.init(flow(spec)), steps)
    assert half.gradient is not None
    assert (not half.gradient.costs) == (steps == 4)
    tensors, words = load(save(state_tensors(half))), json.dumps(state_metadata(half), allow_nan=False)
    rest, second = run(trainer, trainer.restore(flow(spec), tensors, json.loads(words)), 60 - steps)
    assert first + second == infos
    assert len({json.dumps(info.gradient.variances) for info in infos if info.gradient is not None}) > 3
    assert same_weights(whole.model, rest.model)


def test_forgetting_what_was_chosen_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_choice, "SHARE", 0.5)
    trainer = trainer_of(max_steps=60)
    whole, _ = run(trainer, trainer.init(flow()), 60)
    half, _ = run(trainer, trainer.init(flow()), 33)
    assert half.gradient is not None
    assert half.gradient.name == "path_wise"
    forgotten: dict[str, Any] = state_metadata(half) | {"gradient": None}
    other, _ = run(trainer, trainer.restore(flow(), state_tensors(half), forgotten), 27)
    assert not same_weights(whole.model, other.model)


def test_a_variance_that_is_not_finite_changes_nothing() -> None:
    class Broken(Objective):
        def __call__(self, model: Weighable, batch: Batch, rng: RandomStream) -> Loss:
            value = sum(p.sum() for p in model.parameters()) * torch.tensor(torch.inf)
            assert isinstance(value, Tensor)
            return Loss(value, torch.zeros(0), {})

    before = GradientChoice("path_wise", dict.fromkeys(BOTH, 1.0))
    at = next(k for k in range(1000) if before.is_due(Moment(k, k, 10_000)))
    broken: dict[str, Objective] = dict.fromkeys(BOTH, Broken())
    assert rechosen(before, broken, drawing(flow()), RandomStream(1), Moment(at, at, 10_000)) == before
