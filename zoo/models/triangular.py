"""Products with block-triangular matrices whose operand becomes known row by row."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

STEPS_PER_BLOCK = 16


@final
class GrownRows:
    """Rows of a matrix that are written in order: in one block of memory, or in pieces where gradients are wanted."""

    def __init__(self, total: int, batch: int, like: Tensor) -> None:
        self.is_differentiable = torch.is_grad_enabled()
        self._pieces = [like.new_empty(0, batch)]
        self._ends = [0]
        self._block = like.new_empty(0 if self.is_differentiable else total, batch)

    def append(self, rows: Float[Tensor, "new batch"]) -> None:
        """The matrix with ``rows`` below it."""
        begin = self._ends[-1]
        self._ends.append(begin + len(rows))
        if self.is_differentiable:
            self._pieces.append(rows)
        else:
            self._block[begin : self._ends[-1]] = rows

    def __getitem__(self, rows: slice) -> Float[Tensor, "rows batch"]:
        """Some of the rows that have been written; ``rows`` begins and ends where pieces do."""
        if not self.is_differentiable:
            return self._block[rows]
        begin = rows.start or 0
        end = self._ends[-1] if rows.stop is None else rows.stop
        first, last = bisect_right(self._ends, begin), bisect_right(self._ends, end)
        return torch.cat(self._pieces[:1] + self._pieces[first:last])


class TriangularProduct:
    """W X + bias for a block-triangular W, a few rows at each step, while the rows of X are still being written.

    At step t the rows of W from ``row_ends[t-1]`` to ``row_ends[t]`` are asked for, and they see only the first
    ``known[t]`` rows of X, shape (row of X, batch), which must have been written by then.  One large product at the
    start of each block of steps brings in all that is known for all rows of the block; each step then adds only what
    has become known since.  So every weight is used once, nearly always in a large product, and X is read once a block.
    """

    def __init__(
        self,
        weight: Float[Tensor, "row known"],
        bias: Float[Tensor, " row"] | None,
        operand: Float[Tensor, "known batch"] | GrownRows,
        row_ends: Sequence[int],
        known: Sequence[int],
    ) -> None:
        self._weight, self._operand = weight, operand
        self._bias = weight.new_zeros(weight.shape[0], 1) if bias is None else bias.unsqueeze(1)
        self._row_ends, self._known = row_ends, known

    def rows(self, step: int) -> Float[Tensor, "rows batch"]:
        """The rows of the product that belong to ``step``; steps must come in order, from 0."""
        if step % STEPS_PER_BLOCK == 0:
            self._open_block(step)
        begin, end = self._begin(step), self._row_ends[step]
        rows = self._block[begin - self._block_begin : end - self._block_begin]
        old, new = self._block_known, self._known[step]
        if new > old and end > begin:
            return self._add(rows, self._weight[begin:end, old:new], self._operand[old:new])
        return rows

    def _add(self, rows: Tensor, weight: Tensor, operand: Tensor) -> Float[Tensor, "rows batch"]:
        if isinstance(self._operand, GrownRows) and self._operand.is_differentiable:
            return rows.addmm(weight, operand)
        return rows.addmm_(weight, operand)

    def _open_block(self, step: int) -> None:
        last = min(step + STEPS_PER_BLOCK, len(self._row_ends)) - 1
        begin, end = self._begin(step), self._row_ends[last]
        self._block_begin, self._block_known = begin, self._known[step]
        known = self._operand[: self._block_known]
        self._block = self._bias[begin:end].addmm(self._weight[begin:end, : self._block_known], known)

    def _begin(self, step: int) -> int:
        return self._row_ends[step - 1] if step else 0
