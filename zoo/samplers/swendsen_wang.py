"""Swendsen-Wang: all clusters of active bonds at once, each given a new value.

Swendsen and Wang, Phys. Rev. Lett. 58, 86 (1987).  The clusters of many chains are the connected components of one
graph.  Sites that active bonds join to the next ones in raster order form runs, which a cumulative sum numbers; only
the bonds between runs, on a critical square lattice half as many as sites, are left to the search for components.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Int32, Int64, Num, UInt8
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.samplers.base import Beta, Chains, StepInfo, repeated
from zoo.samplers.blocks import chain_blocks, check_num_chains, in_threads, of_block
from zoo.samplers.clusters import ClusterState, configurations_of, ferromagnet, random_state, state_of
from zoo.samplers.words import choices, word_source, words
from zoo.specs.samplers import SwendsenWangSpec

_SITES_PER_BLOCK = 2**16


@final
class SwendsenWang(Chains[ClusterState]):
    """Markov chains whose step draws the clusters and then a new value for each, all q equally likely.

    ``acceptance`` is the fraction of the sites whose value changed.
    """

    def __init__(self, spec: SwendsenWangSpec, target: Target, beta: Beta) -> None:
        super().__init__(target, beta)
        self.spec = spec
        self._model = ferromagnet(target)
        self._activation = self._model.activation(beta)
        self._from, self._to, num_next = _next_first(self._model.bonds)
        self._others = slice(num_next, len(self._from))
        self._bond_before = np.full(target.space.num_sites, len(self._from))  # one past the last: never active
        self._bond_before[self._to[:num_next]] = np.arange(num_next)

    def init(self, num_chains: int, rng: RandomStream) -> ClusterState:
        """Chains at independent configurations, all equally likely."""
        check_num_chains(self.beta, num_chains)
        return random_state(self._model, num_chains, rng)

    def state_at(self, configurations: Num[Tensor, "chain *event"]) -> ClusterState:
        """Chains that start from given ``configurations``."""
        check_num_chains(self.beta, len(configurations))
        return state_of(self._model, configurations)

    def step(self, state: ClusterState, rng: RandomStream) -> tuple[ClusterState, StepInfo]:
        """New clusters and new values; block b of the chains takes its numbers from ``rng.spawn(b)``."""
        after = np.empty_like(state.values)
        num_chains, num_sites = state.values.shape
        blocks = chain_blocks(num_chains, num_sites, _SITES_PER_BLOCK)

        def redraw(index: int) -> None:
            chains = blocks[index]
            after[chains] = self._redrawn(state.values[chains], chains, rng.spawn(index))

        in_threads(redraw, len(blocks))
        changed = (after != state.values).mean(1, dtype=np.float32)
        return ClusterState(after, state.device), StepInfo(torch.from_numpy(changed).to(state.device))

    def _redrawn(
        self, values: UInt8[np.ndarray, "chain site"], chains: slice, rng: RandomStream
    ) -> UInt8[np.ndarray, "chain site"]:
        """One block of chains after a step."""
        source = word_source(rng)
        active = self._active(values, chains, source)
        starts = ~np.take(active, self._bond_before, 1)
        run = np.cumsum(starts, dtype=np.int32).reshape(values.shape) - np.int32(1)
        count, cluster = connected_components(self._graph(run, active[:, self._others]), directed=False)
        drawn = choices(words(source, count), self._model.space.num_values).astype(np.uint8)
        redrawn: UInt8[np.ndarray, "chain site"] = drawn[cluster][run]
        return redrawn

    def _active(
        self, values: UInt8[np.ndarray, "chain site"], chains: slice, source: np.random.Philox
    ) -> Bool[np.ndarray, "chain bond_or_none"]:
        """Which bonds are active, and a last column of none."""
        active = np.zeros((len(values), len(self._from) + 1), bool)
        bonds = active[:, :-1]
        np.less(words(source, *bonds.shape), of_block(self._activation, chains)[:, None], out=bonds)
        bonds &= np.take(values, self._from, 1) == np.take(values, self._to, 1)
        return active

    def _graph(self, run: Int32[np.ndarray, "chain site"], active: Bool[np.ndarray, "chain other"]) -> csr_array:
        """The graph of the runs.  Bonds are in the order of their first sites, so its rows are in order, too."""
        bond = np.flatnonzero(active)
        row = np.take(run, self._from[self._others], 1).ravel()[bond]
        column = np.take(run, self._to[self._others], 1).ravel()[bond]
        size = int(run[-1, -1]) + 1
        starts = np.zeros(size + 1, np.int32)
        np.cumsum(np.bincount(row, minlength=size), out=starts[1:])
        return csr_array((np.ones(len(row)), column, starts), shape=(size, size))

    def warm_up(self, state: ClusterState, num_steps: int, rng: RandomStream) -> ClusterState:
        """``num_steps`` steps."""
        return repeated(self, state, num_steps, rng)

    def configurations(self, state: ClusterState) -> Num[Tensor, "chain *event"]:
        """Where the chains are."""
        return configurations_of(self._model, state)


def _next_first(
    bonds: Int64[np.ndarray, "bond 2"],
) -> tuple[Int64[np.ndarray, " bond"], Int64[np.ndarray, " bond"], int]:
    """First and second sites of the bonds, those to the next site (each pair once) before all others; their number.

    Both groups are in the order of their first sites.
    """
    bonds = np.sort(bonds, axis=1)
    bonds = bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))]
    is_next = bonds[:, 1] == bonds[:, 0] + 1
    is_next[1:] &= (bonds[1:] != bonds[:-1]).any(1)
    ordered = np.r_[bonds[is_next], bonds[~is_next]]
    return ordered[:, 0], ordered[:, 1], int(is_next.sum())
