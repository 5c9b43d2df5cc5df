"""A tile may hold rows of several requests: what a row gets depends neither on its place nor on its neighbours."""

import pytest
import torch

from tests.conformance.cases import SCRAMBLED_CASES, ModelCase
from zoo.core.random import RandomStream, joined
from zoo.core.tiles import SHARED_ROWS

SEED, OTHER = 11, 12

every_case = pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)


@every_case
def test_a_sample_is_the_same_at_every_place_beside_all_neighbours(case: ModelCase) -> None:
    model = case.model()
    x, log_prob = model.sample_and_log_prob(SHARED_ROWS, RandomStream(SEED))
    for rows in (1, 3, 16, 31):
        for before in {0, 1, 7, SHARED_ROWS - rows}:
            if before + rows > SHARED_ROWS:
                continue
            parts = [(RandomStream(OTHER), before), (RandomStream(SEED), rows), (RandomStream(OTHER), SHARED_ROWS)]
            room = SHARED_ROWS - before - rows
            parts = [(stream, min(n, room) if i == 2 else n) for i, (stream, n) in enumerate(parts)]
            y, beside = model.sample_and_log_prob(SHARED_ROWS, joined([part for part in parts if part[1]]))
            where = slice(before, before + rows)
            assert torch.equal(y[where], x[:rows])
            assert torch.equal(beside[where], log_prob[:rows])


@every_case
def test_a_likelihood_is_the_same_at_every_place_beside_all_neighbours(case: ModelCase) -> None:
    model = case.model()
    x, others = (model.sample(SHARED_ROWS, RandomStream(seed)) for seed in (SEED, OTHER))
    with torch.inference_mode():
        alone = model.log_prob(x)
        for place in range(SHARED_ROWS):
            for neighbours in (others, x[:1].expand_as(x)):
                mixed = neighbours.clone()
                mixed[place] = x[5]
                assert model.log_prob(mixed)[place] == alone[5]
