"""Wolff: one cluster, grown from a random site of each chain, gets a new value.

Wolff, Phys. Rev. Lett. 62, 361 (1989).  The clusters of all chains grow together, one layer of sites at a time: each
bond from the last layer to a site of the same value outside the cluster is tested, once, since afterwards its first end
belongs to an older layer and a site that has joined is no longer outside.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Int64, Num, UInt8
from torch import Tensor

from zoo.core.lattices import neighbour_table
from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.samplers.base import Beta, Chains, StepInfo, repeated
from zoo.samplers.blocks import check_num_chains
from zoo.samplers.clusters import ClusterState, configurations_of, ferromagnet, random_state, state_of
from zoo.samplers.words import choices, word_source, words
from zoo.specs.samplers import WolffSpec


@final
class Wolff(Chains[ClusterState]):
    """Markov chains whose step changes the value of one cluster to one of the q - 1 others, all equally likely.

    ``acceptance`` is the fraction of the sites that changed: the cluster's size over N.
    """

    def __init__(self, spec: WolffSpec, target: Target, beta: Beta) -> None:
        super().__init__(target, beta)
        self.spec = spec
        self._model = ferromagnet(target)
        self._activation = self._model.activation(beta)
        self._neighbours = neighbour_table(target.space.num_sites, torch.from_numpy(self._model.bonds)).numpy()

    def init(self, num_chains: int, rng: RandomStream) -> ClusterState:
        """Chains at independent configurations, all equally likely."""
        check_num_chains(self.beta, num_chains)
        return random_state(self._model, num_chains, rng)

    def state_at(self, configurations: Num[Tensor, "chain *event"]) -> ClusterState:
        """Chains that start from given ``configurations``."""
        check_num_chains(self.beta, len(configurations))
        return state_of(self._model, configurations)

    def step(self, state: ClusterState, rng: RandomStream) -> tuple[ClusterState, StepInfo]:
        """One cluster of each chain redrawn."""
        num_chains, num_sites = state.values.shape
        source = word_source(rng)
        start = choices(words(source, num_chains), num_sites).astype(np.int64)
        cluster = self._cluster(state.values, start, source)
        q = self._model.space.num_values
        rise = 1 + choices(words(source, num_chains), q - 1).astype(np.int64) if q > 1 else np.zeros(num_chains, int)
        after = np.where(cluster, (state.values + rise[:, None]) % q, state.values).astype(np.uint8)
        size = torch.from_numpy(cluster.mean(1, dtype=np.float32))
        return ClusterState(after, state.device), StepInfo(size.to(state.device))

    def _cluster(
        self, values: UInt8[np.ndarray, "chain site"], start: Int64[np.ndarray, " chain"], source: np.random.Philox
    ) -> Bool[np.ndarray, "chain site"]:
        """The sites of the cluster that grows from ``start`` in each chain."""
        num_chains, num_sites = values.shape
        width = num_sites + 1  # a site more, which the missing neighbours are: it counts as inside, so never joins
        value = np.pad(values, ((0, 0), (0, 1))).ravel()
        inside = np.zeros((num_chains, width), bool)
        inside[:, num_sites] = True
        flat = inside.ravel()
        claim = np.empty(flat.shape, np.int64)
        layer = np.arange(num_chains) * width + start
        flat[layer] = True
        while len(layer):
            chain, site = np.divmod(layer, width)
            beside = self._neighbours[site] + chain[:, None] * width
            tested = ~flat[beside] & (value[beside] == value[layer, None])
            joining = beside[tested]
            activation = np.broadcast_to(self._activation, num_chains)[chain[tested.nonzero()[0]]]
            joining = joining[words(source, len(joining)) < activation]
            claim[joining] = np.arange(len(joining))  # of those that join more than once, one stays
            layer = joining[claim[joining] == np.arange(len(joining))]
            flat[layer] = True
        return inside[:, :num_sites]

    def warm_up(self, state: ClusterState, num_steps: int, rng: RandomStream) -> ClusterState:
        """``num_steps`` steps."""
        return repeated(self, state, num_steps, rng)

    def configurations(self, state: ClusterState) -> Num[Tensor, "chain *event"]:
        """Where the chains are."""
        return configurations_of(self._model, state)
