"""Models that come and go leave no memory behind."""

from collections.abc import Iterator

import numpy as np
import psutil
import pytest
import torch

from tests.workers.tiny_models import TinyRegistry
from workers.engine.models import WarmModels
from workers.engine.operations import Engine
from workers.engine.tiled import Piece, Sample
from zoo.core.tiles import Tile

NUM_MODELS, ROOM, WARM_UP = 20, 3, 60

LARGEST_SLOPE = 2.0
"""MB for each 100 cycles of loading, sampling and dropping."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def twenty(registry: TinyRegistry) -> TinyRegistry:
    """Twenty versions with 130 kB of weights each."""
    for seed in range(NUM_MODELS):
        registry.publish("wide", seed=seed)
    return registry


def slope(registry: TinyRegistry, cycles: int, *, keep: bool) -> float:
    """Growth of the resident memory in MB for each 100 cycles; ``keep`` holds on to every model that was loaded."""
    models = WarmModels(registry.versions, ROOM, torch.device("cpu"))
    engine, process = Engine(models, torch.device("cpu")), psutil.Process()
    kept, sizes = [], []
    for cycle in range(WARM_UP + cycles):
        version = cycle % NUM_MODELS + 1
        payload = {"model": "wide", "version": version, "seed": cycle, "n": 40, "include": ["log_prob"]}
        engine.run_together(Sample(), [Piece(payload, Tile(0, 40, 256))])
        sizes.append(process.memory_info().rss / 2**20)
        if keep:
            kept.append(models.get("wide", version))
    assert models.num_loaded == WARM_UP + cycles, "every cycle loads, since the other models have used the room"
    assert len(models) == ROOM
    return float(np.polyfit(np.arange(cycles), sizes[WARM_UP:], 1)[0] * 100)


def test_models_that_come_and_go_leave_nothing_behind(twenty: TinyRegistry) -> None:
    assert slope(twenty, 200, keep=False) < LARGEST_SLOPE


def test_models_that_stay_are_noticed(twenty: TinyRegistry) -> None:
    assert slope(twenty, 60, keep=True) > 4 * LARGEST_SLOPE
