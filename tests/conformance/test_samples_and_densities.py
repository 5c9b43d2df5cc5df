"""Samples and densities agree with each other, with the seed, and with nobody else."""

from typing import final

import pytest
import torch
from jaxtyping import Float, Num
from torch import Tensor

from tests.conformance.cases import MODEL_CASES, SCRAMBLED_CASES, ModelCase, condition_on, condition_values
from tests.conformance.streams import OneRowKept, Rotated
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.core.tiles import TILE_ROWS
from zoo.specs.spaces import WIRE_DTYPES

SEED = 2024
every_case = pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)


def rows_that_feel_their_neighbours(model: Model, rows: int) -> list[int]:
    """Rows of a batch whose sample, log-density with it, or log-density of it alone change with the other rows."""
    x, log_prob = model.sample_and_log_prob(rows, RandomStream(SEED))
    again = model.log_prob(x)
    changed = []
    for row in {0, 1, rows // 2 + 3, rows - 1}:
        y, beside = model.sample_and_log_prob(rows, OneRowKept(SEED, kept=row))
        same = torch.equal(x[row], y[row]) and torch.equal(log_prob[row], beside[row])
        if not same or not torch.equal(again[row], model.log_prob(y)[row]):
            changed.append(row)
    return changed


@pytest.mark.parametrize("case", MODEL_CASES, ids=str)
def test_log_prob_of_the_sampling_pass_is_that_of_the_forward_pass(case: ModelCase) -> None:
    tolerance = 1e-5 if case.space().spec.is_discrete else 1e-4
    for model in case.models():
        x, log_prob = model.sample_and_log_prob(500, RandomStream(SEED))
        forward = model.log_prob(x).detach()
        assert log_prob.dtype == forward.dtype == torch.float64
        assert log_prob.shape == (500,)
        assert bool(((log_prob - forward).abs() <= tolerance * forward.abs().clamp_min(1)).all())


@pytest.mark.parametrize("case", MODEL_CASES, ids=str)
def test_one_seed_gives_the_same_bits(case: ModelCase) -> None:
    model = case.model()
    x = model.sample(256, RandomStream(SEED))
    assert str(x.dtype) == f"torch.{WIRE_DTYPES[case.kind]}"
    assert x.shape == (256, *model.space.event_shape)
    model.space.validate(x)
    assert torch.equal(x, model.sample(256, RandomStream(SEED)))
    pair = model.sample_and_log_prob(256, RandomStream(SEED))
    assert torch.equal(x, pair[0])
    assert torch.equal(pair[1], model.sample_and_log_prob(256, RandomStream(SEED))[1])
    assert not torch.equal(x, model.sample(256, RandomStream(SEED + 1)))


@every_case
def test_log_prob_takes_integers_and_floats_alike(case: ModelCase) -> None:
    model = case.model()
    x = model.sample(32, RandomStream(SEED))
    assert torch.equal(model.log_prob(x), model.log_prob(x.float()))


@every_case
def test_every_row_has_its_own_condition(case: ModelCase) -> None:
    built = case.built()
    if isinstance(built, Model):
        return
    parts = [model.sample_and_log_prob(32, RandomStream(SEED)) for model in case.models()]
    x, log_prob = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    by_row = condition_values(condition_on(case.spec)).repeat_interleave(32, 0)
    torch.testing.assert_close(built.at(by_row).log_prob(x).detach(), log_prob, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(built.at(by_row.roll(1, 0)).log_prob(x)[32:], log_prob[32:], rtol=1e-3)
    y, with_it = built.at(by_row).sample_and_log_prob(len(by_row), RandomStream(SEED))
    torch.testing.assert_close(with_it, built.at(by_row).log_prob(y).detach(), rtol=1e-4, atol=1e-4)
    for number, model in enumerate(case.models()):
        rows = slice(32 * number, 32 * (number + 1))
        alone = model.sample(32, RandomStream(SEED, first=32 * number))
        same = torch.isclose(alone.double(), y[rows].double(), atol=1e-3).flatten(1).all(1)
        assert int(same.sum()) >= 31  # a uniform can fall between two roundings of a probability


@pytest.mark.parametrize("rows", TILE_ROWS)
@every_case
def test_a_row_of_a_tile_does_not_feel_the_other_rows(case: ModelCase, rows: int) -> None:
    with torch.inference_mode():
        assert rows_that_feel_their_neighbours(case.model(), rows) == []


@every_case
def test_a_row_of_the_smallest_tile_is_the_same_at_every_position(case: ModelCase) -> None:
    rows, model = min(TILE_ROWS), case.model()
    with torch.inference_mode():
        x, log_prob = model.sample_and_log_prob(rows, RandomStream(SEED))
        forward = model.log_prob(x)
        for shift in range(1, rows):
            y, moved = model.sample_and_log_prob(rows, Rotated(SEED, shift=shift))
            assert torch.equal(y, x.roll(shift, 0))
            assert torch.equal(moved, log_prob.roll(shift))
            assert torch.equal(model.log_prob(y), forward.roll(shift))


def test_a_model_that_normalises_over_the_batch_is_caught() -> None:
    with torch.inference_mode():
        wrong = _BatchNormalised(SCRAMBLED_CASES[0].model())
        assert rows_that_feel_their_neighbours(wrong, 32) != []


@final
class _BatchNormalised(Model):
    """Shifts each log-density by a little of the batch's mean."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    @property
    def space(self) -> Space:
        return self.model.space

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        return self.model.sample(num_samples, rng)

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        log_prob = self.model.log_prob(x)
        return log_prob - 1e-6 * log_prob.mean()

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        return self.model.sample_and_log_prob(num_samples, rng)
