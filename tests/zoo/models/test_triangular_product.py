"""Rows of a triangular product, asked for as its operand is written, are those of the full product."""

import pytest
import torch

from zoo.models.triangular import STEPS_PER_BLOCK, TriangularProduct

BATCH = 5


@pytest.mark.parametrize("steps", [1, STEPS_PER_BLOCK - 1, STEPS_PER_BLOCK, 3 * STEPS_PER_BLOCK + 2])
@pytest.mark.parametrize(("rows_per_step", "new_per_step"), [(1, 1), (3, 1), (0, 1), (2, 4)])
def test_rows_equal_the_full_product(steps: int, rows_per_step: int, new_per_step: int) -> None:
    generator = torch.Generator().manual_seed(1)
    row_ends = [rows_per_step * (t + 1) for t in range(steps)]
    known = [new_per_step * t for t in range(steps)]
    x = torch.randn(known[-1] + new_per_step, BATCH, generator=generator, dtype=torch.float64)
    weight = torch.randn(row_ends[-1], len(x), generator=generator, dtype=torch.float64)
    bias = torch.randn(row_ends[-1], generator=generator, dtype=torch.float64)
    for t, end in enumerate(row_ends):
        weight[end - rows_per_step : end, known[t] :] = 0
    operand = torch.full_like(x, torch.nan)  # what is not yet known must not be read
    product = TriangularProduct(weight, bias, operand, row_ends, known)
    rows = []
    for t in range(steps):
        rows.append(product.rows(t).clone())
        operand[known[t] : known[t] + new_per_step] = x[known[t] : known[t] + new_per_step]
    torch.testing.assert_close(torch.cat(rows), weight @ x + bias[:, None], atol=1e-12, rtol=0)


def test_reading_ahead_of_what_is_known_would_be_seen() -> None:
    operand = torch.full((2, BATCH), torch.nan)
    product = TriangularProduct(torch.ones(2, 2), None, operand, [1, 2], [1, 1])
    assert bool(product.rows(0).isnan().all())
