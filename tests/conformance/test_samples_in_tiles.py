"""Random streams do not depend on the batch: one seed gives one list of samples, however it is cut into tiles."""

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import SCRAMBLED_CASES, ModelCase
from zoo.core.models import Model, SequentialDensity
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace
from zoo.core.tiles import TILE_ROWS
from zoo.models.symmetrized import Symmetrized

SEED = 2024
CLOSE = 1e-6
"""A uniform so near to a probability may fall on either side of it, as the batch rounds."""
CLOSE_REALS = 1e-3
NUM_SAMPLES = max(TILE_ROWS)

every_case = pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)


def in_tiles(model: Model, rows: int, seed: int = SEED) -> Tensor:
    """NUM_SAMPLES samples in batches of ``rows``."""
    return torch.cat([model.sample(rows, RandomStream(seed, first=i)) for i in range(0, NUM_SAMPLES, rows)])


def distances(model: SequentialDensity, space: DiscreteSpace, x: Tensor, site: Tensor) -> Tensor:
    """How far the uniform of ``site`` of each row is from a number at which the value that it draws changes.

    A site takes its first value whose cumulative probability exceeds the uniform; +1 comes before -1, and 1 before 0.
    """
    rows, values = torch.arange(len(x)), space.from_indices(torch.arange(space.num_values))
    probabilities = []
    for value in values if space.spec.kind == "categorical" else values.flip(0):
        tried = x.flatten(1).clone()
        tried[rows, site] = value
        probabilities.append(model.site_log_prob(tried.reshape(x.shape))[rows, site].exp())
    boundaries = torch.stack(probabilities).cumsum(0)[:-1]
    uniforms = RandomStream(SEED).uniforms(len(x), space.num_sites).double()
    return (uniforms[rows, site] - boundaries).abs().amin(0)


def unexplained(model: Model, x: Tensor, y: Tensor) -> int:
    """Rows in which ``y`` differs from ``x``, first at a site whose uniform was not close to a probability."""
    if not isinstance(model.space, DiscreteSpace):
        return int((~torch.isclose(x, y, rtol=CLOSE_REALS, atol=CLOSE_REALS)).flatten(1).any(1).sum())
    differs = (x != y).flatten(1)
    if not isinstance(model, SequentialDensity):
        return int(differs.any(1).sum())  # its uniforms are not compared with anything that a site's value tells
    with torch.no_grad():
        distance = distances(model, model.space, x, differs.long().argmax(1))
    return int((differs.any(1) & (distance > CLOSE)).sum())


@every_case
def test_samples_are_the_same_in_tiles_of_every_size(case: ModelCase) -> None:
    model = case.model()
    x = in_tiles(model, NUM_SAMPLES)
    for rows in TILE_ROWS:
        y = in_tiles(model, rows)
        inner, inside, beside = model, x, y
        while isinstance(inner, Symmetrized):
            inner = inner.inner
            inside, beside = in_tiles(inner, NUM_SAMPLES), in_tiles(inner, rows)
            kept = torch.isclose(inside.double(), beside.double(), atol=CLOSE_REALS).flatten(1).all(1)
            assert torch.allclose(x[kept].double(), y[kept].double(), atol=CLOSE_REALS)
        assert unexplained(inner, inside, beside) == 0


@every_case
def test_samples_that_start_their_stream_anew_with_each_tile_are_caught(case: ModelCase) -> None:
    model = case.model()
    while isinstance(model, Symmetrized):
        model = model.inner
    x = in_tiles(model, NUM_SAMPLES)
    again = model.sample(32, RandomStream(SEED)).repeat(NUM_SAMPLES // 32, *[1] * (x.ndim - 1))
    assert unexplained(model, x, again) > NUM_SAMPLES // 2
