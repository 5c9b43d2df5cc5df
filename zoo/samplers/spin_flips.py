"""Flips of single spins with pair interactions, at a rate that depends on the reduced cost beta dE alone.

Spin i with local field g_i = sum_j J_ij s_j + h_i is flipped with probability w(beta dE_i), dE_i = 2 s_i g_i.  The
stationary distribution is exp(-beta E) / Z when w(x) / w(-x) = exp(-x).
"""

from collections.abc import Callable
from typing import final

import numpy as np
from jaxtyping import Bool, Float64, Int8, Num, UInt32
from scipy.sparse import csr_array

from zoo.core.targets import PairInteractions, PairwiseSpins
from zoo.samplers.base import Beta
from zoo.samplers.blocks import betas_of, of_block
from zoo.samplers.local_updates import SiteRule, Sublattices
from zoo.samplers.words import threshold

Rate = Callable[[Float64[np.ndarray, "..."]], Float64[np.ndarray, "..."]]
"""w(x): the probability of a change that costs x = beta dE; never increasing, w(x) / w(-x) = exp(-x)."""

_MOST_NEIGHBOURS_OF_A_TABLE = 16


def spin_rule(target: PairwiseSpins, beta: Beta, rate: Rate) -> SiteRule:
    """Flips at ``rate``, by table where all couplings are equal and there is no field, else by the formula."""
    pairs = target.interactions
    present = pairs.couplings[pairs.neighbours < len(pairs.fields)]
    uniform = len(present) > 0 and bool((present == present[0]).all()) and not bool(pairs.fields.any())
    if uniform and pairs.neighbours.shape[1] <= _MOST_NEIGHBOURS_OF_A_TABLE:
        return UniformSpinFlips(pairs, float(present[0]), beta, rate)
    return SpinFlips(pairs, beta, rate)


@final
class CostTable:
    """Decisions for changes whose cost is an integer k times a ``gap`` >= 0: yes when a random word is below T_k.

    T_k falls with k, so that a word decides for all costs up to some largest one.  Finding this largest cost takes one
    comparison for each different threshold, and no look-up for each site.
    """

    def __init__(self, costs: list[int], gap: float, beta: Beta, rate: Rate) -> None:
        limits = threshold(rate(np.array(costs, dtype=np.float64)[:, None] * (gap * betas_of(beta))))
        self._below = costs[0] - 1
        self._rises: list[tuple[UInt32[np.ndarray, " chain"], np.int8]] = []
        reached = self._below
        for k, cost in enumerate(costs):
            if k + 1 == len(costs) or (limits[k] != limits[k + 1]).any():
                self._rises.append((limits[k], np.int8(cost - reached)))
                reached = cost

    def accepted(
        self, cost: Int8[np.ndarray, "some chain"], word: UInt32[np.ndarray, "some chain"], chains: slice
    ) -> Bool[np.ndarray, "some chain"]:
        """Whether each change of integer ``cost`` is made."""
        largest = np.full(cost.shape, self._below, np.int8)
        for limit, rise in self._rises:
            reached = (word < of_block(limit, chains)).view(np.int8)
            largest += reached if rise == 1 else reached * rise
        return cost <= largest


@final
class UniformSpinFlips(SiteRule):
    """Flips where every coupling is the same J and there is no field: dE = 2 J s_i sum_j s_j, an integer times 2 |J|.

    The probability of each flip is exact to 2^-32.
    """

    words_per_site = 1
    scratch_per_site = 1
    dtype = np.int8
    outside = 0

    def __init__(self, pairs: PairInteractions, J: float, beta: Beta, rate: Rate) -> None:
        self.sites = Sublattices(pairs.neighbours)
        degrees = set((pairs.neighbours < len(pairs.fields)).sum(1).tolist())
        costs = sorted({k for degree in degrees for k in range(-degree, degree + 1, 2)})
        self.table = CostTable(costs, 2 * abs(J), beta, rate)
        self._frustrating = J < 0

    def update(
        self, values: Int8[np.ndarray, "site chain"], part: int, chains: slice, word: UInt32[np.ndarray, "1 some chain"]
    ) -> None:
        """Flips some spins of one colour."""
        where = self.sites.parts[part]
        cost = values[self.sites.neighbours[0, where]]
        for neighbour in self.sites.neighbours[1:]:
            cost += values[neighbour[where]]
        spins = values[where]
        cost *= spins
        if self._frustrating:
            np.negative(cost, out=cost)
        flips = self.table.accepted(cost, word[0], chains).view(np.int8)
        spins *= 1 - 2 * flips


@final
class SpinFlips(SiteRule):
    """Flips for any couplings and fields, in float64: exact to 2^-32 and the rounding of beta dE."""

    words_per_site = 1
    scratch_per_site = 1
    dtype = np.float64
    outside = 0

    def __init__(self, pairs: PairInteractions, beta: Beta, rate: Rate) -> None:
        self.sites = Sublattices(pairs.neighbours)
        order = self.sites.order
        couplings = _matrix(self.sites, pairs.couplings.numpy()[order])
        self._couplings = [couplings[where] for where in self.sites.parts]
        self._fields = pairs.fields.numpy()[order]
        self._beta = betas_of(beta)
        self._rate = rate

    def update(
        self, values: Num[np.ndarray, "site chain"], part: int, chains: slice, word: UInt32[np.ndarray, "1 some chain"]
    ) -> None:
        """Flips some spins of one colour."""
        where = self.sites.parts[part]
        cost = self._couplings[part] @ values
        cost += self._fields[where, None]
        cost *= values[where]
        cost *= 2 * of_block(self._beta, chains)
        flips = word[0] < np.rint(self._rate(cost) * 2.0**32)
        values[where] *= 1 - 2 * flips


def _matrix(sites: Sublattices, couplings: Float64[np.ndarray, "site neighbour"]) -> csr_array:
    """J_ij, sparse, in the order of ``sites``; one column more, without couplings, for the missing neighbour."""
    neighbour, row = sites.neighbours, np.broadcast_to(np.arange(sites.neighbours.shape[1]), sites.neighbours.shape)
    size = neighbour.shape[1]
    values = np.where(neighbour < size, couplings.T, 0.0)
    return csr_array((values.ravel(), (row.ravel(), neighbour.ravel())), shape=(size, size + 1))
