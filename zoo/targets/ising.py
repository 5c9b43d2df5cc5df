"""The Ising model on chains, square, cubic and triangular lattices."""

from functools import cached_property
from typing import final

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from zoo.core.lattices import lattice_bonds, neighbour_table
from zoo.core.spaces import Spins
from zoo.core.targets import HasExactFreeEnergy, PairInteractions, PairwiseSpins
from zoo.exact.ising import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.ising import IsingSpec


@final
class Ising(PairwiseSpins, HasExactFreeEnergy):
    """E(s) = -J sum_<ij> s_i s_j - h sum_i s_i on a hypercubic or triangular lattice, energies in the unit of J and h.

    A periodic length of 2 counts each bond twice; a length of 1 has no bond in its direction.  The triangular lattice
    is the square one with the diagonals from (r, c) to (r + 1, c + 1).

    Source: Ising, Z. Phys. 31, 253 (1925); Wannier, Phys. Rev. 79, 357 (1950) for the triangular lattice.
    """

    def __init__(self, spec: IsingSpec) -> None:
        self.spec = spec
        self._space = Spins(spec.space)

    @property
    def space(self) -> Spins:
        """Spins of shape ``spec.shape``."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Spin flip at h = 0, and those of the lattice."""
        return self.spec.symmetries

    @cached_property
    def bonds(self) -> Int[Tensor, "bond 2"]:
        """The pairs <ij>, one row for each bond, sites in raster order."""
        return lattice_bonds(self.spec.shape, periodic=self.spec.periodic, triangular=self.spec.lattice == "triangular")

    @cached_property
    def interactions(self) -> PairInteractions:
        """J for each bond, h at each site."""
        sites = self.space.num_sites
        neighbours = neighbour_table(sites, self.bonds)
        couplings = self.spec.J * (neighbours < sites).to(torch.float64)
        return PairInteractions(neighbours, couplings, torch.full((sites,), self.spec.h, dtype=torch.float64))

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(s), float64, shape (batch,)."""
        energy = -self.spec.J * self._bond_sum(x) - self.spec.h * _site_sum(x)
        return energy + 0.0  # turns -0.0 into 0.0

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_site`` in the unit of J; ``magnetization`` and its modulus per site, dimensionless."""
        n = self.space.num_sites
        magnetization = _site_sum(x) / n
        return {
            "energy_per_site": self.energy(x) / n,
            "magnetization": magnetization,
            "abs_magnetization": magnetization.abs(),
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z by the first method that applies; see ``zoo.exact.ising``."""
        return exact_reference(self.spec, beta)

    def _bond_sum(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """sum_<ij> s_i s_j, exact in float32 below 2^24 bonds."""
        s = x.to(torch.float32)
        total = torch.zeros(s.shape[0], dtype=torch.float64, device=s.device)
        for axis, length in enumerate(self.spec.shape, start=1):
            if length == 1:
                continue
            bonds = s.narrow(axis, 1, length - 1) * s.narrow(axis, 0, length - 1)
            total += bonds.flatten(1).sum(1)
            if self.spec.periodic:
                total += (s.select(axis, 0) * s.select(axis, length - 1)).reshape(s.shape[0], -1).sum(1)
        return total + self._diagonal_sum(s) if self.spec.lattice == "triangular" else total

    def _diagonal_sum(self, s: Float[Tensor, "batch row column"]) -> Float[Tensor, " batch"]:
        """The part of the bonds from (r, c) to (r + 1, c + 1)."""
        if not self.spec.periodic:
            return (s[:, 1:, 1:] * s[:, :-1, :-1]).flatten(1).sum(1)
        if self.space.num_sites == 1:  # the diagonal leads back to its site, and is no bond
            return torch.zeros_like(s[:, 0, 0])
        return (s * s.roll((-1, -1), (1, 2))).flatten(1).sum(1)


def _site_sum(x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
    return x.flatten(1).sum(1, dtype=torch.float64)
