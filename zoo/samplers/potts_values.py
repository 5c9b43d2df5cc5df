"""New values of single Potts variables: proposed and accepted, or drawn from the conditional distribution."""

from typing import final

import numpy as np
from jaxtyping import Int8, Int16, UInt32

from zoo.core.lattices import neighbour_table
from zoo.samplers.base import Beta
from zoo.samplers.blocks import betas_of, of_block
from zoo.samplers.local_updates import SiteRule, Sublattices
from zoo.samplers.spin_flips import CostTable, Rate
from zoo.samplers.words import choices
from zoo.targets.potts import Potts


@final
class ProposedValues(SiteRule):
    """One of the q - 1 other values, all equally likely, accepted at a ``rate`` of what it costs: J (n_old - n_new)."""

    words_per_site = 2
    scratch_per_site = 2
    dtype = np.int16
    outside = -1

    def __init__(self, target: Potts, beta: Beta, rate: Rate) -> None:
        self.sites = _sublattices(target)
        degree = len(self.sites.neighbours)
        self._sign = np.int8(1 if target.spec.J >= 0 else -1)
        self._table = CostTable(list(range(-degree, degree + 1)), abs(target.spec.J), beta, rate)
        self._num_values = target.spec.q

    def update(
        self,
        values: Int16[np.ndarray, "site chain"],
        part: int,
        chains: slice,
        word: UInt32[np.ndarray, "2 some chain"],
    ) -> None:
        """Redraws the variables of one colour."""
        where = self.sites.parts[part]
        old = values[where]
        new = old + choices(word[0], self._num_values - 1).astype(np.int16) + np.int16(1)
        new -= np.int16(self._num_values) * (new >= self._num_values)
        cost = np.zeros(old.shape, np.int8)
        for neighbour in self.sites.neighbours:
            beside = values[neighbour[where]]
            cost += (beside == old).view(np.int8)
            cost -= (beside == new).view(np.int8)
        cost *= self._sign
        np.copyto(old, new, where=self._table.accepted(cost, word[1], chains))


@final
class ConditionalValues(SiteRule):
    """Value v with probability exp(beta J n_v) / sum_u exp(beta J n_u), by inversion of its cumulative sum."""

    words_per_site = 1
    dtype = np.int16
    outside = -1

    def __init__(self, target: Potts, beta: Beta) -> None:
        self.sites = _sublattices(target)
        self._sign = np.int8(1 if target.spec.J >= 0 else -1)
        self._strength = abs(target.spec.J) * betas_of(beta)
        self._num_values = self.scratch_per_site = target.spec.q

    def update(
        self,
        values: Int16[np.ndarray, "site chain"],
        part: int,
        chains: slice,
        word: UInt32[np.ndarray, "1 some chain"],
    ) -> None:
        """Redraws the variables of one colour."""
        where = self.sites.parts[part]
        gain = self._gains(values, where)
        weight = np.exp(of_block(self._strength, chains) * (gain - gain.max(0)))
        cumulative = np.cumsum(weight, axis=0, out=weight)
        drawn = (word[0] + 0.5) * 2.0**-32 * cumulative[-1]
        # the last value needs no comparison: rounding must not lead beyond it
        values[where] = (cumulative[:-1] <= drawn).sum(0, dtype=np.int16)

    def _gains(self, values: Int16[np.ndarray, "site chain"], where: slice) -> Int8[np.ndarray, "value some chain"]:
        """How many neighbours have each value, times the sign of J: the weights are exp(beta |J| gain)."""
        gain = np.zeros((self._num_values, where.stop - where.start, values.shape[1]), np.int8)
        value = np.arange(self._num_values, dtype=np.int16)[:, None, None]
        for neighbour in self.sites.neighbours:
            gain += (values[neighbour[where]] == value).view(np.int8)
        gain *= self._sign
        return gain


def _sublattices(target: Potts) -> Sublattices:
    return Sublattices(neighbour_table(target.space.num_sites, target.bonds))
