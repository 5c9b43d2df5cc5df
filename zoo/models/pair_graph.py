"""The graph of coupled pairs of spins: its edges, whether it has loops, and spins that satisfy a tree of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch
from jaxtyping import Float64, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from torch import Tensor

from zoo.core.targets import PairInteractions, PairwiseSpins, ThermodynamicState
from zoo.specs.errors import CapabilityMissingError


@final
@dataclass(frozen=True)
class PairGraph:
    """E(s) = -sum_edges J_e s_i s_j - sum_i h_i s_i, i < j, one edge for each pair with a coupling that is not 0."""

    ends: Int[Tensor, "2 edge"]
    couplings: Float64[Tensor, " edge"]
    fields: Float64[Tensor, " site"]

    @classmethod
    def of(cls, interactions: PairInteractions) -> "PairGraph":
        """The graph; couplings of several bonds between the same two spins are added up."""
        n, columns = interactions.neighbours.shape
        site = torch.arange(n).repeat_interleave(columns)
        other, couplings = interactions.neighbours.flatten(), interactions.couplings.flatten()
        once = (site < other) & (other < n)
        pairs, which = torch.unique(site[once] * n + other[once], return_inverse=True)
        total = torch.zeros(len(pairs), dtype=torch.float64).index_add(0, which, couplings[once])
        coupled = total != 0
        ends = torch.stack([pairs[coupled] // n, pairs[coupled] % n])
        return cls(ends, total[coupled], interactions.fields.to(torch.float64))

    @property
    def num_sites(self) -> int:
        """Number of spins."""
        return len(self.fields)

    @cached_property
    def is_forest(self) -> bool:
        """Whether there is no loop: as many edges as sites less components."""
        components, _ = connected_components(self._matrix(np.ones(len(self.couplings))), directed=False)
        return len(self.couplings) == self.num_sites - int(components)

    @property
    def longest_path(self) -> int:
        """A bound on the edges of a path in a forest: twice the times that all its leaves can be taken off."""
        ends, times = self.ends, 0
        while ends.shape[1]:
            degree = torch.bincount(ends.flatten(), minlength=self.num_sites)
            ends, times = ends[:, (degree[ends] > 1).all(0)], times + 1
        return 2 * times

    def tree_spins(self) -> Float64[Tensor, " site"]:
        """Spins that satisfy each bond of a spanning forest of the largest |J|; the first of each component is +1."""
        n = self.num_sites
        _, component = connected_components(self._matrix(np.ones(len(self.couplings))), directed=False)
        _, roots = np.unique(component, return_index=True)
        # one more site, joined to one site of each component, makes one tree of the forest
        signs = self._matrix(np.sign(self.couplings.numpy()), roots, 1.0)
        tree = minimum_spanning_tree(self._matrix(-self.couplings.abs().numpy(), roots, -1.0))
        order, parent = breadth_first_order(tree, n, directed=False)
        sign_of = (signs + signs.T).tocsr()
        bond = np.asarray(sign_of[parent[order[1:]], order[1:]]).ravel()
        spins = np.ones(n + 1)
        for site, sign in zip(order[1:].tolist(), bond.tolist(), strict=True):
            spins[site] = spins[parent[site]] * sign
        return torch.from_numpy(spins[:n])

    def _matrix(
        self, values: Float64[np.ndarray, " edge"], roots: Int[np.ndarray, " root"] | None = None, joined: float = 0.0
    ) -> csr_array:
        """``values`` of the edges as a matrix, with one more site joined to the ``roots`` where there are some."""
        first, second = self.ends.numpy()
        if roots is None:
            return csr_array((values, (first, second)), shape=(self.num_sites, self.num_sites))
        n = self.num_sites
        rows, columns = np.append(first, np.full(len(roots), n)), np.append(second, roots)
        return csr_array((np.append(values, np.full(len(roots), joined)), (rows, columns)), shape=(n + 1, n + 1))


def pairwise_target(state: ThermodynamicState) -> PairwiseSpins:
    """The target of ``state``, whose energy is a sum over pairs.

    Raises:
        CapabilityMissingError: it is not.
    """
    if isinstance(state.target, PairwiseSpins):
        return state.target
    msg = f"the equations are those of pairs of spins, and {type(state.target).__name__} is no sum over pairs of spins"
    raise CapabilityMissingError(msg)
