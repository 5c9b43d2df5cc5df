"""What a step learns from: rows of the data and values of the conditions, all functions of the stream."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from zoo.catalog import build, build_target, states_of
from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.targets import Ensemble, ThermodynamicState
from zoo.models.autoregressive import Autoregressive
from zoo.specs.models.conditions import NO_CONDITION, ConditionOn
from zoo.specs.models.made import MadeSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.training.problem import MAX_STATES, MIN_ROWS_PER_STATE, Problem, TrainingData

TARGET = IsingSpec(shape=(3, 3), beta=0.5)
RANGES = ConditionOn(beta=(0.2, 1.0), h=(-1.0, 0.5))


def model_of(conditions: ConditionOn) -> Model | ConditionalModel:
    return build(MadeSpec(width=4, condition_on=conditions), build_target(TARGET).space, seed=1)


def problem_of(conditions: ConditionOn) -> Problem:
    state = ThermodynamicState(build_target(TARGET), TARGET.beta)
    return Problem(state, condition_on=conditions, state_at=states_of(TARGET))


def conditional_batch(
    conditions: ConditionOn, batch_size: int, annealed: float = 1.0, domain: int = 0
) -> tuple[Tensor, Ensemble]:
    """The values that the model is given, one row for each sample, and the states of the batch."""
    stream = RandomStream(3, domain=domain)
    model, batch = problem_of(conditions).batch(model_of(conditions), batch_size, annealed, stream)
    assert isinstance(model, Autoregressive)
    assert model.conditions is not None
    assert isinstance(batch.states, Ensemble)
    assert len(model.conditions) == batch.num_samples
    return model.conditions, batch.states


def test_the_model_is_given_the_values_that_its_states_have() -> None:
    values, ensemble = conditional_batch(RANGES, 1000)
    assert ensemble.groups == MAX_STATES
    assert len(values) == 1000 // MAX_STATES * MAX_STATES
    x = build_target(TARGET).space
    for rows, state in zip(values.chunk(ensemble.groups), ensemble.states, strict=True):
        assert torch.equal(rows, rows[:1].expand_as(rows))
        beta, h = rows[0].tolist()
        assert state.beta == beta
        up = torch.ones(1, *x.event_shape)
        assert float(state.target.energy(up)) == pytest.approx(-2 * 9 - 9 * h, abs=1e-9)


def test_values_are_spread_evenly_over_their_ranges() -> None:
    values, _ = conditional_batch(RANGES, 1000)
    one = values[:: 1000 // MAX_STATES]
    for column, (low, high) in zip(one.T, RANGES.ranges.values(), strict=True):
        part = ((column - low) / (high - low) * MAX_STATES).floor()
        assert sorted(part.tolist()) == list(range(MAX_STATES))
    orders = [column.argsort().tolist() for column in one.T]
    assert orders[0] != orders[1]
    wrong = torch.rand(MAX_STATES, generator=torch.Generator().manual_seed(1))
    assert sorted((wrong * MAX_STATES).floor().tolist()) != list(range(MAX_STATES))


@pytest.mark.parametrize("annealed", [0.0, 0.25, 1.0])
def test_beta_is_annealed_from_the_lower_end_of_its_range(annealed: float) -> None:
    values, ensemble = conditional_batch(RANGES, 1000, annealed)
    highest = 0.2 + 0.8 * annealed
    assert bool((values[:, 0] >= 0.2).all())
    assert bool((values[:, 0] <= highest).all())
    assert float(values[:, 0].max()) > highest - 0.8 * annealed / MAX_STATES - 1e-12
    assert float(values[:, 1].max()) > 0.3  # the field is not annealed
    assert [state.beta for state in ensemble.states] == values[:: 1000 // MAX_STATES, 0].tolist()
    assert problem_of(RANGES).beta(annealed) == pytest.approx(highest)


def test_beta_is_annealed_for_other_conditions_too() -> None:
    _, ensemble = conditional_batch(ConditionOn(h=(-1.0, 0.5)), 1000, annealed=0.25)
    assert {state.beta for state in ensemble.states} == {0.125}
    assert problem_of(ConditionOn(h=(-1.0, 0.5))).beta(0.25) == 0.125


@pytest.mark.parametrize("batch_size", [2, MIN_ROWS_PER_STATE, 3 * MIN_ROWS_PER_STATE + 5, 10_000])
def test_every_state_has_enough_rows(batch_size: int) -> None:
    values, ensemble = conditional_batch(RANGES, batch_size)
    assert 1 <= ensemble.groups <= MAX_STATES
    assert len(values) // ensemble.groups >= min(batch_size, MIN_ROWS_PER_STATE)
    assert batch_size - len(values) < ensemble.groups


def test_a_batch_is_a_function_of_its_stream() -> None:
    first, again, other = (conditional_batch(RANGES, 500, domain=domain)[0] for domain in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_over_many_steps_all_values_come_equally_often() -> None:
    beta = torch.cat([conditional_batch(RANGES, 64, domain=k)[0][::32, 0] for k in range(200)])
    counts = torch.histc(beta, bins=10, min=0.2, max=1.0)
    assert bool(((counts - 40).abs() < 4.5 * 40**0.5).all())


SAMPLES = build_target(TARGET).space.enumerate()[:50]  # type: ignore[attr-defined]
DATA = TrainingData(SAMPLES[:40], SAMPLES[40:], torch.arange(40) % 3, torch.arange(10) % 3)


def test_rows_of_the_data_come_evenly_and_with_their_labels() -> None:
    problem, model = Problem(data=DATA, condition_on=ConditionOn(label=3)), model_of(ConditionOn(label=3))
    view, batch = problem.batch(model, 4000, 1.0, RandomStream(1))
    assert batch.states is None
    assert batch.data is not None
    assert isinstance(view, Autoregressive)
    assert view.conditions is not None
    same = (batch.data[:, None] == DATA.samples).flatten(2).all(2)
    row = same.long().argmax(1)
    assert bool(same.any(1).all())
    assert torch.equal(view.conditions[:, 0], row % 3)
    assert not torch.equal(view.conditions[:, 0].roll(1), row % 3)
    counts = torch.bincount(row, minlength=40).double()
    assert bool(((counts - 100).abs() < 4.5 * 10).all())
    _, again = problem.batch(model, 4000, 1.0, RandomStream(1))
    _, other = problem.batch(model, 4000, 1.0, RandomStream(2))
    assert again.data is not None
    assert other.data is not None
    assert torch.equal(again.data, batch.data)
    assert not torch.equal(other.data, batch.data)


def test_held_out_rows_are_the_others_and_keep_their_labels() -> None:
    view, rows = Problem(data=DATA, condition_on=ConditionOn(label=3)).held_out(model_of(ConditionOn(label=3)), 4, 9)
    assert torch.equal(rows, SAMPLES[44:49])
    assert isinstance(view, Autoregressive)
    assert view.conditions is not None
    assert view.conditions[:, 0].tolist() == [1, 2, 0, 1, 2]


def test_data_and_energy_are_one_batch_at_the_annealed_temperature() -> None:
    state = ThermodynamicState(build_target(TARGET), 0.5)
    _, batch = Problem(state, DATA).batch(model_of(NO_CONDITION), 20, 0.5, RandomStream(1))
    assert isinstance(batch.states, ThermodynamicState)
    assert batch.states.beta == 0.25
    assert batch.data is not None
    assert len(batch.data) == 20


def test_a_model_and_a_problem_that_do_not_fit_are_a_type_error() -> None:
    state = ThermodynamicState(build_target(TARGET), 0.5)
    with pytest.raises(TypeError, match="conditioned on beta, h"):
        Problem(state).batch(model_of(RANGES), 20, 1.0, RandomStream(1))
    with pytest.raises(TypeError, match="needs a conditional model"):
        problem_of(RANGES).batch(model_of(NO_CONDITION), 20, 1.0, RandomStream(1))
    with pytest.raises(ValueError, match="there is no data"):
        Problem(state).held_out(model_of(NO_CONDITION), 0, 1)


def test_annealing_of_one_temperature_is_linear() -> None:
    problem = problem_of(NO_CONDITION)
    assert all(b > a for a, b in pairwise(problem.beta(t / 4) for t in range(5)))
    assert problem.beta(1.0) == 0.5
    assert Problem(data=DATA).beta(1.0) == 0
