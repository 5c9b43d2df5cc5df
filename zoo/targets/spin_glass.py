"""Spin glasses: spins with any couplings and fields."""

from functools import cached_property
from typing import final

import torch
from jaxtyping import Float, Float64, Int, Num
from torch import Tensor

from zoo.core.lattices import bond_table
from zoo.core.spaces import Spins
from zoo.core.targets import HasExactFreeEnergy, PairInteractions, PairwiseSpins
from zoo.exact.enumeration import coupling_matrix
from zoo.exact.spin_glass import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.spin_glass import SpinGlassSpec

_DENSE_ABOVE = 16  # bonds of a site above which a product with the whole matrix is faster than a sum over bonds
_ELEMENTS_AT_ONCE = 2**22  # spins on bonds: 32 megabytes


@final
class SpinGlass(PairwiseSpins, HasExactFreeEnergy):
    """E(s) = -sum_{i<j} J_ij s_i s_j - sum_i h_i s_i, energies in the unit of J and h, sites in raster order.

    Sources: Edwards and Anderson, J. Phys. F 5, 965 (1975), for neighbours of a lattice; Sherrington and Kirkpatrick,
    Phys. Rev. Lett. 35, 1792 (1975), for all pairs.
    """

    def __init__(self, spec: SpinGlassSpec) -> None:
        self.spec = spec
        self._space = Spins(spec.space)
        self._fields = torch.from_numpy(spec.field_values())

    @property
    def space(self) -> Spins:
        """Spins of shape (n,), or of the lattice."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Spin flip without fields; those of the lattice only where the couplings allow them."""
        return self.spec.symmetries

    @cached_property
    def _pairs(self) -> tuple[Int[Tensor, "bond 2"], Float64[Tensor, " bond"]]:
        """Coupled pairs and their J_ij; drawn when first asked for, since they can be millions."""
        bonds, couplings = self.spec.bonds()
        return torch.from_numpy(bonds), torch.from_numpy(couplings)

    @cached_property
    def interactions(self) -> PairInteractions:
        """J_ij for each coupled pair, h_i at each site."""
        return pair_interactions(*self._pairs, self._fields)

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(s), float64, shape (batch,)."""
        s = x.flatten(1).to(torch.float64)
        return -self._pair_sum(s) - s @ self._fields.to(s.device) + 0.0  # turns -0.0 into 0.0

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_site`` in the unit of J; ``magnetization`` and its modulus per site, dimensionless.

        ``satisfied_bonds`` is the part of sum |J_ij| that is in bonds with J_ij s_i s_j > 0: 1 without frustration.
        """
        n = self.space.num_sites
        s = x.flatten(1).to(torch.float64)
        magnetization = s.mean(1)
        total = float(self._pairs[1].abs().sum())
        satisfied = self._pair_sum(s) / (2 * total) + 0.5 if total else torch.ones_like(magnetization)
        return {
            "energy_per_site": self.energy(x) / n,
            "magnetization": magnetization,
            "abs_magnetization": magnetization.abs(),
            "satisfied_bonds": satisfied,
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z by enumeration or site by site; see ``zoo.exact.spin_glass``."""
        return exact_reference(self.spec, beta)

    @cached_property
    def _matrix(self) -> Float64[Tensor, "site site"]:
        """J."""
        bonds, couplings = self._pairs
        return torch.from_numpy(coupling_matrix(bonds.numpy(), couplings.numpy(), self.space.num_sites))

    def _pair_sum(self, s: Float64[Tensor, "batch site"]) -> Float64[Tensor, " batch"]:
        """sum_{i<j} J_ij s_i s_j."""
        bonds, couplings = self._pairs
        if len(bonds) > _DENSE_ABOVE * self.space.num_sites:
            return ((s @ self._matrix.to(s.device)) * s).sum(1) / 2
        i, j = bonds.T.to(s.device)
        couplings = couplings.to(s.device)
        rows = max(1, _ELEMENTS_AT_ONCE // max(1, len(couplings)))
        blocks = [s[start : start + rows] for start in range(0, max(1, len(s)), rows)]
        return torch.cat([(block[:, i] * block[:, j]) @ couplings for block in blocks])


def pair_interactions(
    bonds: Int[Tensor, "bond 2"], couplings: Float64[Tensor, " bond"], fields: Float64[Tensor, " site"]
) -> PairInteractions:
    """The table of neighbours of each site, with the couplings J_ij of the bonds."""
    n = len(fields)
    if n > 1 and len(bonds) == n * (n - 1) // 2:  # every pair, without a sort of n^2 ends
        others = ~torch.eye(n, dtype=torch.bool)
        matrix = torch.zeros(n, n, dtype=torch.float64)
        matrix.index_put_((bonds[:, 0], bonds[:, 1]), couplings, accumulate=True)
        matrix += matrix.T.clone()
        neighbours = torch.arange(n).expand(n, n)[others].reshape(n, n - 1)
        return PairInteractions(neighbours, matrix[others].reshape(n, n - 1), fields)
    neighbours, which = bond_table(n, bonds)
    padded = torch.cat([couplings, torch.zeros(1, dtype=torch.float64)])
    return PairInteractions(neighbours, padded[which], fields)
