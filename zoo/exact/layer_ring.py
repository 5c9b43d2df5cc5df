"""Rings of layers with any couplings: tori of spin glasses whose frontier is too wide to go site by site.

The sites stand in layers r = 0 .. L-1 of w spins each.  Bonds lie within a layer, or join a spin to the spin at its
place in the next layer, the last being followed by the first.  For each state s0 of the first layer the other layers
are carried as one vector of 2^w numbers,

    v_1(s) = exp(X_1(s) + sum_i K_0i s0_i s_i),
    v_(r+1)(s') = exp(X_(r+1)(s')) sum_s exp(sum_i K_ri s_i s'_i) v_r(s),
    Z = sum_s0 exp(X_0(s0)) sum_s exp(sum_i K_(L-1)i s_i s0_i) v_(L-1)(s),

where X_r has the bonds and fields within layer r.  The sum over s is a product of matrices of a few places each, which
act on many s0 at once.  Without a field half of the s0 are enough.  Morgenstern and Binder, Phys. Rev. Lett. 43, 1615
(1979), conditioned on the first layer.

All terms are positive.  Vectors are scaled to the maximum 1, so what underflows is below e^-700 of the largest; what
comes later changes that ratio by at most e^R,

    R = max over r of 2 (sum within layer r of |K| and |b|, and sum_i max(|K_ri|, |K_(r-1)i|)).
"""

from dataclasses import dataclass
from math import log

import numpy as np
from jaxtyping import Float64, Int

from zoo.exact.cumulants import Cumulants
from zoo.exact.rows import row_states
from zoo.exact.series import Array, Series, exp_series, summed
from zoo.exact.site_transfer import SpinGraph

MAX_WORK = 4.5e9
"""Most numbers that are carried from layer to layer: L - 2 times 2^(2w), half of it without field: four minutes."""

MAX_PLACES = 16
"""Most spins of a layer."""

MAX_LOG_RANGE = 600.0
"""Largest R; exp(-708) is the smallest normal float."""

_GROUP = 5  # places whose bonds are one matrix, of 32 x 32
_MAX_COLUMNS = 256  # OpenBLAS divides products of more than 2^18 multiplications, which costs more than it gains
_LOG2_BLOCK = 18  # a block of vectors has so many numbers, or 16 vectors if those are more

Layers = Int[np.ndarray, "layer place"]
Columns = list[Array]  # Taylor coefficients 0, 1 and 2 in t of some vectors, each of shape (state, vector)


@dataclass(frozen=True)
class LayerRing:
    """Couplings of a ring of layers: within them, strictly upper triangular; to the next one; and fields."""

    within: Float64[np.ndarray, "layer place place"]
    upward: Float64[np.ndarray, "layer place"]
    fields: Float64[np.ndarray, "layer place"]

    @classmethod
    def of(cls, graph: SpinGraph, layers: Layers) -> "LayerRing | None":
        """``graph`` with its sites in ``layers``; None for fewer than three, or bonds that do not fit."""
        count, places = layers.shape
        if count < 3 or places > MAX_PLACES:
            return None
        layer, place = np.empty(layers.size, dtype=np.int64), np.empty(layers.size, dtype=np.int64)
        layer[layers], place[layers] = np.indices(layers.shape)
        (la, lb), (pa, pb) = layer[graph.bonds].T, place[graph.bonds].T
        inside, steps = la == lb, (lb - la) % count
        up, down = steps == 1, steps == count - 1
        if not (inside | ((up | down) & (pa == pb))).all():
            return None
        within, upward = np.zeros((count, places, places)), np.zeros((count, places))
        within[la[inside], np.minimum(pa, pb)[inside], np.maximum(pa, pb)[inside]] = graph.couplings[inside]
        upward[la[up], pa[up]] = graph.couplings[up]
        upward[lb[down], pb[down]] = graph.couplings[down]
        return cls(within, upward, graph.fields[layers])

    @property
    def work(self) -> float:
        """Numbers carried from layer to layer."""
        count, places = self.upward.shape
        return float((count - 2) * 4.0**places / (1 if self.fields.any() else 2))

    @property
    def log_range(self) -> float:
        """R."""
        inside = np.abs(self.within).sum((1, 2)) + np.abs(self.fields).sum(1)
        across = np.maximum(np.abs(self.upward), np.abs(np.roll(self.upward, 1, 0))).sum(1)
        return 2 * float((inside + across).max())

    @property
    def is_feasible(self) -> bool:
        """Whether time and range are within their bounds; memory always is, some tens of megabytes."""
        return self.work <= MAX_WORK and self.log_range < MAX_LOG_RANGE

    def cumulants(self) -> Cumulants:
        """Ln Z with mean and variance of u, in about 4e-8 seconds for each unit of ``work``."""
        places = self.upward.shape[1]
        first_states = 2 ** (places if self.fields.any() else places - 1)
        walk = _Walk(self)
        block = min(first_states, max(16, 2 ** (_LOG2_BLOCK - places)))
        parts = [walk.around(np.arange(i, i + block)) for i in range(0, first_states, block)]
        series = tuple(np.concatenate([part[0][n] for part in parts]) for n in range(3))
        log_scale = np.concatenate([part[1] for part in parts]) + (places * log(2) - log(first_states))
        return summed(((series[0], series[1], series[2]), log_scale), walk.offset)


class _Walk:
    """The way around a ring, from blocks of states of the first layer; exponents are measured from their maxima."""

    def __init__(self, ring: LayerRing) -> None:
        self._spins = row_states(ring.upward.shape[1])
        self._upward = ring.upward
        exponents = [
            ((self._spins @ within) * self._spins).sum(1) + self._spins @ fields
            for within, fields in zip(ring.within, ring.fields, strict=True)
        ]
        self._tops = [float(x.max()) for x in exponents]
        self._exponents = [x - top for x, top in zip(exponents, self._tops, strict=True)]
        self._kernels = [_kernels(couplings) for couplings in ring.upward[1:-1]]
        self.offset = float(np.abs(ring.upward).sum()) + sum(self._tops)

    def around(self, states: Int[np.ndarray, " vector"]) -> tuple[Series, Array]:
        """The part of Z with these states of the first layer, as a series and the logarithm of a factor."""
        x = self._exponents[1][:, None] + self._bonds(states, 0)
        top = x.max(0)
        x -= top
        columns = [np.exp(x), x * np.exp(x), x * x * np.exp(x) / 2]
        spare = [np.empty_like(x) for _ in range(4)]
        log_scale = top.copy()
        for exponents, kernels in zip(self._exponents[2:], self._kernels, strict=True):
            for kernel, left in kernels:
                columns, spare = _applied(kernel, columns, spare, left)
            _weigh(columns, exponents[:, None], spare[0])
            largest = columns[0].max(0)
            for n in range(3):
                columns[n] /= largest
            log_scale += np.log(largest)
        _weigh(columns, self._bonds(states, -1), spare[0])
        z0, z1, z2 = (array.sum(0) for array in columns)
        x0 = self._exponents[0][states]
        rest = x0 + top
        return (z0, z1 + rest * z0, 2 * z2 + 2 * rest * z1 + rest * rest * z0), log_scale + x0

    def _bonds(self, states: Int[np.ndarray, " vector"], layer: int) -> Float64[np.ndarray, "state vector"]:
        """sum_i K_i s0_i s_i less its maximum: the bonds that join the first layer to its neighbour."""
        couplings = self._upward[layer]
        return np.asarray(self._spins @ (couplings * self._spins[states]).T - np.abs(couplings).sum())


def _kernels(couplings: Float64[np.ndarray, " place"]) -> list[tuple[Series, int]]:
    """The bonds of all places as matrices of a few each, from the last on, each with the number of states above it."""
    found, places = [], len(couplings)
    for group in reversed(np.array_split(np.arange(places), -(-places // _GROUP))):
        spins = row_states(len(group))
        k0, k1, k2 = exp_series((spins * couplings[group]) @ spins.T - np.abs(couplings[group]).sum())
        found.append(((k0, k1, k2 / 2), 2 ** (places - 1 - int(group[-1]))))
    return found


def _applied(kernel: Series, columns: Columns, spare: Columns, left: int) -> tuple[Columns, Columns]:
    """A symmetric ``kernel`` applied to some places of ``columns``, and the arrays that are free now."""
    source = [_in_pieces(a, left, len(kernel[0])) for a in columns]
    *target, product = (_in_pieces(a, left, len(kernel[0])) for a in spare)
    for order in range(3):
        np.matmul(kernel[0], source[order], out=target[order])
        for n in range(1, order + 1):
            np.matmul(kernel[n], source[order - n], out=product)
            target[order] += product
    return spare[:3], [*columns, spare[3]]


def _in_pieces(a: Array, left: int, states: int) -> Array:
    """``a`` as many matrices of ``states`` rows, so few columns each that no product of theirs is shared by threads."""
    columns = min(_MAX_COLUMNS, a.size // (left * states))
    return a.reshape(left, states, -1, columns).swapaxes(1, 2)


def _weigh(columns: Columns, x: Array, product: Array) -> None:
    """``columns`` times exp(t x), in place; ``product`` is overwritten."""
    weight = np.exp(x)
    for n in range(3):
        columns[n] *= weight
    np.multiply(columns[1], x, out=product)
    columns[2] += product
    np.multiply(columns[0], x, out=product)
    columns[1] += product
    product *= x / 2
    columns[2] += product
