"""Transfer matrices of Ising chains and strips: any coupling, field and boundary, up to width 14.

Kramers and Wannier, Phys. Rev. 60, 252 (1941); for one chain, Ising, Z. Phys. 31, 253 (1925).  With s, s' the spins of
two neighbouring rows, K = beta J and b = beta h,

    T = D^(1/2) V D^(1/2),      V(s, s') = exp(K sum_i s_i s'_i),      D(s) = exp(K sum_<ij> s_i s_j + b sum_i s_i),

    Z = tr T^M (periodic),      Z = 1^T D^(1/2) T^(M-1) D^(1/2) 1 (open).

Wide strips never form T, of 4^w elements: V is a product over columns, applied as two factors of half the width to
vectors of 2^w elements.  T is symmetric and commutes with rotation and reflection of a row (and with the flip of all
spins at b = 0), so the trace of a wide strip needs

    <s| T^M |s> = (T^k |s>) . (T^(M-k) |s>),      k = M // 2,

for one s of each orbit only: 687 of 16384 at width 14.  All terms are positive, so nothing cancels, frustrated rows and
odd lengths included.  Long tori are faster by the spectrum of T (``torus_spectrum``), used where no terms cancel.

Energy and variance come from the same pass: every array A is carried with its first two derivatives in t, for the
weights exp(-t u), and products follow Leibniz's rule (``_product``).
"""

from collections.abc import Callable
from math import comb

import numpy as np
from jaxtyping import Float64, Int

from zoo.exact.cumulants import Cumulants
from zoo.exact.rows import orbits, row_bonds, row_states
from zoo.exact.torus_spectrum import torus_trace

MAX_WIDTH = 14
"""Largest width: 2^14 states of a row."""

_MAX_LOG_RANGE = 600.0  # of the elements of T; exp(-708) is the smallest normal float
_MAX_DENSE_WIDTH = 6  # up to here T itself is raised to its power, by squaring
_MAX_ORBIT_LENGTH = 40  # longer tori are faster by their spectrum
_ORBITS_AT_ONCE = 32  # vectors that fit in the cache together

Array = Float64[np.ndarray, "..."]
Series = tuple[Array, Array, Array]
Scaled = tuple[Series, Array]  # a series and the logarithm of a constant factor taken out of it


def strip_applies(width: int, coupling_times_beta: float, field_times_beta: float) -> bool:
    """Whether the width is at most 14, and the elements of T span less than e^600, so that none underflows."""
    log_range = width * (4 * abs(coupling_times_beta) + 2 * abs(field_times_beta))
    return 1 <= width <= MAX_WIDTH and log_range < _MAX_LOG_RANGE


def strip_cumulants(
    width: int, length: int, coupling_times_beta: float, field_times_beta: float, *, periodic: bool
) -> Cumulants:
    """Ln Z with mean and variance of u = beta E on a ``width`` x ``length`` lattice; a chain has width 1.

    Both directions are periodic, or neither.  A periodic side of 2 counts each bond twice, a side of 1 has no bond.
    Cost: open, length 2^w; periodic, that times the number of orbits of a row, about 2^w / 2w, and for lengths above
    40 not growing any more, unless K < 0 and the length is odd.  On two cores the worst, width 14, takes seconds to a
    minute when periodic, a second for a length of 1000 when open.

    Raises:
        ValueError: a width or couplings for which ``strip_applies`` is false, or a length below 1.
    """
    if length < 1 or not strip_applies(width, coupling_times_beta, field_times_beta):
        msg = (
            f"a strip of width {width} and length {length} was asked for at K = {coupling_times_beta}, "
            f"b = {field_times_beta}; the width may be 1 to {MAX_WIDTH}, the length at least 1, and "
            f"width (4|K| + 2|b|) at most {_MAX_LOG_RANGE:g}"
        )
        raise ValueError(msg)
    strip = _Strip(width, coupling_times_beta, field_times_beta, periodic=periodic)
    if length == 1:
        terms = strip.isolated_row()
    elif width <= _MAX_DENSE_WIDTH:
        terms = strip.by_squaring(length)
    elif not periodic:
        terms = strip.row_by_row(length)
    elif length > _MAX_ORBIT_LENGTH and (coupling_times_beta >= 0 or length % 2 == 0):
        terms = strip.by_spectrum(length)
    else:
        terms = strip.by_orbits(length)
    return _cumulants(terms, offset=strip.offset(length))


class _Strip:
    """T of one strip as its factors, with exponents measured from their maxima."""

    def __init__(self, width: int, K: float, b: float, *, periodic: bool) -> None:
        spins = row_states(width)
        row_exponent = K * row_bonds(spins, periodic=periodic) + b * spins.sum(1)
        self._width, self._K, self._b, self._periodic = width, K, b, periodic
        self._row_offset, self._bond_offset = float(row_exponent.max()), width * abs(K)
        self._half_weight = _exp_series((row_exponent - self._row_offset) / 2)
        self._high, self._low = (_kernel(part, K) for part in (width - width // 2, width // 2))

    def offset(self, length: int) -> float:
        """The exponent that was left out of a lattice of this length."""
        joints = length if self._periodic and length > 1 else length - 1
        return length * self._row_offset + joints * self._bond_offset

    def isolated_row(self) -> Scaled:
        """sum_s D(s)."""
        return _scalars(_product(np.vdot, self._half_weight, self._half_weight))

    def by_squaring(self, length: int) -> Scaled:
        """Z from T itself, in about log2(length) products of 2^w x 2^w matrices."""
        kernel = _product(np.kron, self._high, self._low)
        rows = _product(np.multiply, kernel, _map(lambda a: a[:, None], self._half_weight))
        matrix = _product(np.multiply, rows, _map(lambda a: a[None, :], self._half_weight))
        if self._periodic:
            power, log_scale = _power(matrix, length)
            return _scalars(_map(np.trace, power), log_scale)
        power, log_scale = _power(matrix, length - 1)
        after = _product(np.matmul, power, self._half_weight)
        return _scalars(_product(np.vdot, self._half_weight, after), log_scale)

    def row_by_row(self, length: int) -> Scaled:
        """Z of an open strip: one vector, carried along the strip."""
        vector = _map(lambda a: a[None, :], self._half_weight)
        vector, log_scale = self._advance(vector, length - 1)
        total = _product(_dot, vector, _map(lambda a: a[None, :], self._half_weight))
        return total, log_scale

    def by_orbits(self, length: int) -> Scaled:
        """Tr T^M of a periodic strip, one term for each orbit of rows, its multiplicity included."""
        states, multiplicity = orbits(self._width, with_reflection=True, with_flip=self._b == 0)
        starts = range(0, len(states), _ORBITS_AT_ONCE)
        blocks = [self._returns(states[i : i + _ORBITS_AT_ONCE], length) for i in starts]
        series = tuple(np.concatenate([block[0][n] for block in blocks]) for n in range(3))
        log_scale = np.concatenate([block[1] for block in blocks])
        return (series[0], series[1], series[2]), log_scale + np.log(multiplicity)

    def by_spectrum(self, length: int) -> Scaled:
        """Tr T^M of a periodic strip from the eigenvalues of T."""
        trace = torus_trace(self._width, length, self._K, self._b, self._row_offset)
        z0, z1, z2 = trace.values
        return _scalars((np.asarray(z0), np.asarray(z1), np.asarray(z2)), trace.log_scale)

    def _returns(self, states: Int[np.ndarray, " orbit"], length: int) -> Scaled:
        """<s| T^M |s> for each of ``states``."""
        start = np.zeros((len(states), 2**self._width))
        start[np.arange(len(states)), states] = 1
        half, log_half = self._advance((start, np.zeros_like(start), np.zeros_like(start)), length // 2)
        rest, log_rest = self._advance(half, length % 2)
        return _product(_dot, half, rest), 2 * log_half + log_rest

    def _advance(self, vectors: Series, steps: int) -> Scaled:
        """T^steps applied to each row of ``vectors``, shape (vector, 2^w)."""
        log_scale = np.zeros(len(vectors[0]))
        for _ in range(steps):
            vectors = self._transfer(vectors)
            top = vectors[0].max(1, keepdims=True)
            vectors = _divide(vectors, top)
            log_scale += np.log(top[:, 0])
        return vectors, log_scale

    def _transfer(self, vectors: Series) -> Series:
        """T applied once: half a row's weight, all vertical bonds, half the next row's weight."""
        shape = (-1, len(self._high[0]), len(self._low[0]))
        grid = _map(lambda a: a.reshape(shape), _product(np.multiply, self._half_weight, vectors))
        for kernel in (self._low, self._high):  # each is applied to the last axis, which then changes places
            grid = _map(lambda a: a.swapaxes(1, 2), _product(_apply_to_last_axis, kernel, grid))
        flat = _map(lambda a: a.reshape(len(vectors[0]), -1), grid)
        return _product(np.multiply, self._half_weight, flat)


def _product(op: Callable[[Array, Array], Array], a: Series, b: Series) -> Series:
    """The bilinear ``op(a, b)`` with its derivatives: (ab)' = a'b + ab', (ab)'' = a''b + 2a'b' + ab''."""
    terms = [sum(comb(n, j) * np.asarray(op(a[n - j], b[j])) for j in range(n + 1)) for n in range(3)]
    return np.asarray(terms[0]), np.asarray(terms[1]), np.asarray(terms[2])


def _map(linear: Callable[[Array], Array], a: Series) -> Series:
    return linear(a[0]), linear(a[1]), linear(a[2])


def _apply_to_last_axis(kernel: Array, a: Array) -> Array:
    """A symmetric ``kernel`` applied along the last axis, as one large matrix product instead of many small ones."""
    return np.asarray((a.reshape(-1, len(kernel)) @ kernel).reshape(a.shape))


def _divide(a: Series, constant: Array) -> Series:
    return a[0] / constant, a[1] / constant, a[2] / constant


def _exp_series(x: Array) -> Series:
    """exp(t x) with its derivatives at t = 1."""
    value = np.exp(x)
    return value, x * value, x * x * value


def _dot(a: Float64[np.ndarray, "vector state"], b: Float64[np.ndarray, "vector state"]) -> Array:
    return np.asarray(np.einsum("vs,vs->v", a, b))


def _power(matrix: Series, exponent: int) -> Scaled:
    """matrix^exponent by squaring, exponent >= 1."""
    if exponent == 1:
        return matrix, np.zeros(())
    half, log_half = _power(matrix, exponent // 2)
    square = _product(np.matmul, half, half)
    if exponent % 2:
        square = _product(np.matmul, square, matrix)
    top = square[0].max()
    return _divide(square, top), 2 * log_half + np.log(top)


def _scalars(series: Series, log_scale: Array | float = 0.0) -> Scaled:
    return _map(np.atleast_1d, series), np.atleast_1d(np.asarray(log_scale))


def _cumulants(terms: Scaled, offset: float) -> Cumulants:
    """The cumulants of Z(t) = exp(t offset) sum_k exp(log_scale_k) series_k(t)."""
    series, log_scale = terms
    top = log_scale.max()
    z0, z1, z2 = (float((np.exp(log_scale - top) * a).sum()) for a in series)
    return Cumulants(float(top + np.log(z0)) + offset, -z1 / z0 - offset, z2 / z0 - (z1 / z0) ** 2)


def _kernel(width: int, K: float) -> Series:
    """exp(K sum_i s_i s'_i - |K| w) for all pairs of rows of ``width`` spins, possibly none."""
    spins = row_states(width)
    return _exp_series(K * (spins @ spins.T) - abs(K) * width)
