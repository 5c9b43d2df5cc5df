"""Tiles are computed at once only where every bit stays what it is in a tile of 32."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from tests.workers.tiny_models import FAMILIES, TARGET
from workers.engine.stacking import STACKS, Stacking, stack_of
from workers.engine.tiled import Piece, energies
from workers.jobs.specs import TrainJobSpec
from zoo.catalog import build_model, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.tiles import SHARED_ROWS, Tile
from zoo.specs.targets.spin_glass import SpinGlassSpec


def tiny(family: str) -> Model:
    spec = TrainJobSpec.model_validate({"target": TARGET, "model": FAMILIES[family]})
    assert spec.target is not None
    model = build_model(spec.model, build_target(spec.target).space, seed=3)
    return model.requires_grad_(requires_grad=False)


class Rounded:
    """A model whose log-probabilities have another last bit where more than ``rows`` are computed."""

    def __init__(self, model: Model, rows: int) -> None:
        self._model, self._rows = model, rows
        self.calls = 0

    def sample_and_log_ratio(self, rows: int, rng: RandomStream) -> tuple[Tensor, Tensor]:
        self.calls += 1
        x, log_ratio = self._model.sample_and_log_ratio(rows, rng)
        return x, log_ratio * (1 + 2e-16 * 4 * (rows > self._rows))

    def log_ratio(self, x: Tensor, rng: RandomStream) -> Tensor:
        return self._model.log_ratio(x, rng)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_found_holds_for_other_seeds(family: str) -> None:
    model, stacking = tiny(family), Stacking()
    stacking.try_once(model, 1e3)
    rows = stacking.rows
    with torch.inference_mode():
        together = model.sample_and_log_prob(rows, RandomStream(99))
        alone = [model.sample_and_log_prob(SHARED_ROWS, RandomStream(99, first=i)) for i in range(0, rows, SHARED_ROWS)]
    assert torch.equal(together[0], torch.cat([x for x, _ in alone]))
    assert torch.equal(together[1], torch.cat([log_prob for _, log_prob in alone]))


@pytest.mark.parametrize("most", [SHARED_ROWS, *STACKS])
def test_a_last_bit_that_differs_is_the_limit(most: int) -> None:
    stacking = Stacking()
    unlimited = Stacking()
    unlimited.try_once(tiny("made"), 1e3)
    stacking.try_once(cast("Any", Rounded(tiny("made"), most)), 1e3)
    assert stacking.rows == min(most, unlimited.rows)


def test_it_is_tried_once_and_not_where_rows_take_long() -> None:
    model, stacking = Rounded(tiny("made"), SHARED_ROWS), Stacking()
    stacking.try_once(cast("Any", model), 1e6)
    assert (stacking.rows, stacking.tried, model.calls) == (SHARED_ROWS, True, 0)
    stacking.try_once(cast("Any", model), 1e3)
    assert model.calls == 0


def test_a_fault_while_it_is_tried_changes_nothing() -> None:
    class Broken:
        calls = 0

        def sample_and_log_ratio(self, rows: int, rng: RandomStream) -> tuple[Tensor, Tensor]:
            self.calls += 1
            msg = "planted"
            raise RuntimeError(msg)

    model, stacking = Broken(), Stacking()
    stacking.try_once(cast("Any", model), 1e3)
    assert (stacking.rows, stacking.tried, model.calls) == (SHARED_ROWS, True, 1)


def test_energies_of_stacked_rows_are_those_of_tiles_of_32() -> None:
    target = build_target(
        SpinGlassSpec.model_validate({"couplings": {"kind": "sherrington_kirkpatrick", "n": 200, "seed": 1}})
    )
    x = torch.randint(0, 2, (256, 200), generator=torch.Generator().manual_seed(1)).mul(2).sub(1).to(torch.int8)
    piece = Piece({}, Tile(0, 32, SHARED_ROWS))
    alone = torch.cat([target.energy(x[i : i + SHARED_ROWS]) for i in range(0, 256, SHARED_ROWS)])
    assert torch.equal(energies(target, x, piece), alone)
    batches: list[int] = []

    class Counting:
        def energy(self, x: Tensor) -> Tensor:
            batches.append(len(x))
            return x.double().sum(1)

    energies(cast("Any", Counting()), x, piece)
    assert batches == [SHARED_ROWS] * 8


def test_a_stack_is_the_smallest_that_holds_all() -> None:
    assert [stack_of(used) for used in (1, 32, 33, 64, 65, 129, 256)] == [32, 32, 64, 64, 128, 256, 256]
