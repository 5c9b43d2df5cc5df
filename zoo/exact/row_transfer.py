"""Powers of the transfer matrix of a uniform strip, whose states are those of one row.

    T = D^(1/2) V D^(1/2),      V(s, s') = exp(sum_i v(s_i, s'_i)),      D(s) = exp(d(s)),

    Z = tr T^M (periodic),      Z = 1^T D^(1/2) T^(M-1) D^(1/2) 1 (open),

with symmetric v.  Wide strips never form T: V is a product over columns, applied as two factors of half the width.  T
is symmetric, and commutes with the symmetries of a row, so the trace needs

    <s| T^M |s> = (T^k |s>) . (T^(M-k) |s>),      k = M // 2,

for one s of each orbit only.  All terms are positive, so nothing cancels, frustrated rows and odd lengths included.
Narrow strips form T, as logarithms (``log_weights``), so that no temperature is too low.
"""

import numpy as np
from jaxtyping import Float64, Int

from zoo.exact.cumulants import Cumulants
from zoo.exact.log_weights import cumulants_of, matrix_power, weights_of
from zoo.exact.series import Array, Scaled, Series, divided, dot, exp_series, mapped, product

MAX_LOG_RANGE = 600.0
"""Largest logarithm of the ratio of two elements of T; exp(-708) is the smallest normal float."""

_ORBITS_AT_ONCE = 32  # vectors that fit in the cache together


class RowTransfer:
    """T of one strip as its factors, with exponents measured from their maxima.

    ``row_exponent`` is d(s), and ``kernels`` are sum_i v(s_i, s'_i) of the columns in two parts, the slower one first.
    """

    def __init__(
        self, row_exponent: Float64[np.ndarray, " state"], kernels: tuple[Array, Array], *, periodic: bool
    ) -> None:
        self._periodic = periodic
        self._row_exponent, self._exponents = row_exponent, kernels
        self._row_offset = float(row_exponent.max())
        self._bond_offset = float(sum(kernel.max() for kernel in kernels))
        self._half_weight = exp_series((row_exponent - self._row_offset) / 2)
        self._high, self._low = (exp_series(kernel - kernel.max()) for kernel in kernels)

    @property
    def row_offset(self) -> float:
        """The largest d(s)."""
        return self._row_offset

    def offset(self, length: int) -> float:
        """The exponent that was left out of a lattice of this length."""
        joints = length if self._periodic and length > 1 else length - 1
        return length * self._row_offset + joints * self._bond_offset

    def by_squaring(self, length: int) -> Cumulants:
        """Z from T itself, in about log2(length) products of matrices, at any temperature; length >= 2."""
        high, low = self._exponents
        bonds = (high[:, None, :, None] + low[None, :, None, :]).reshape(2 * [len(high) * len(low)])
        half = self._row_exponent / 2
        matrix = weights_of(half[:, None] + bonds + half)
        if self._periodic:
            x, y, z = matrix_power(matrix, length)
            return cumulants_of((np.diag(x), np.diag(y), np.diag(z)))
        x, y, z = matrix_power(matrix, length - 1)
        ends = half[:, None] + half
        return cumulants_of((x + ends, y + ends, z))

    def row_by_row(self, length: int) -> Scaled:
        """Z of an open strip: one vector, carried along the strip."""
        vector = mapped(lambda a: a[None, :], self._half_weight)
        vector, log_scale = self._advance(vector, length - 1)
        total = product(dot, vector, mapped(lambda a: a[None, :], self._half_weight))
        return total, log_scale

    def by_orbits(
        self, states: Int[np.ndarray, " orbit"], multiplicity: Int[np.ndarray, " orbit"], length: int
    ) -> Scaled:
        """Tr T^M of a periodic strip, one term for each orbit of rows, its multiplicity included."""
        starts = range(0, len(states), _ORBITS_AT_ONCE)
        blocks = [self._returns(states[i : i + _ORBITS_AT_ONCE], length) for i in starts]
        series = tuple(np.concatenate([block[0][n] for block in blocks]) for n in range(3))
        log_scale = np.concatenate([block[1] for block in blocks])
        return (series[0], series[1], series[2]), log_scale + np.log(multiplicity)

    def _returns(self, states: Int[np.ndarray, " orbit"], length: int) -> Scaled:
        """<s| T^M |s> for each of ``states``."""
        start = np.zeros((len(states), len(self._half_weight[0])))
        start[np.arange(len(states)), states] = 1
        half, log_half = self._advance((start, np.zeros_like(start), np.zeros_like(start)), length // 2)
        rest, log_rest = self._advance(half, length % 2)
        return product(dot, half, rest), 2 * log_half + log_rest

    def _advance(self, vectors: Series, steps: int) -> Scaled:
        """T^steps applied to each row of ``vectors``, shape (vector, state)."""
        log_scale = np.zeros(len(vectors[0]))
        for _ in range(steps):
            vectors = self._transfer(vectors)
            top = vectors[0].max(1, keepdims=True)
            vectors = divided(vectors, top)
            log_scale += np.log(top[:, 0])
        return vectors, log_scale

    def _transfer(self, vectors: Series) -> Series:
        """T applied once: half a row's weight, all vertical bonds, half the next row's weight."""
        shape = (-1, len(self._high[0]), len(self._low[0]))
        grid = mapped(lambda a: a.reshape(shape), product(np.multiply, self._half_weight, vectors))
        for kernel in (self._low, self._high):  # each is applied to the last axis, which then changes places
            grid = mapped(lambda a: a.swapaxes(1, 2), product(_apply_to_last_axis, kernel, grid))
        flat = mapped(lambda a: a.reshape(len(vectors[0]), -1), grid)
        return product(np.multiply, self._half_weight, flat)


def _apply_to_last_axis(kernel: Array, a: Array) -> Array:
    """A symmetric ``kernel`` applied along the last axis, as one large matrix product instead of many small ones."""
    return np.asarray((a.reshape(-1, len(kernel)) @ kernel).reshape(a.shape))
