"""The Potts model on chains, square and cubic lattices."""

from functools import cached_property
from typing import final

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from zoo.core.lattices import lattice_bonds
from zoo.core.spaces import Categorical
from zoo.core.targets import HasExactFreeEnergy, Target
from zoo.exact.potts import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.potts import PottsSpec


@final
class Potts(Target, HasExactFreeEnergy):
    """E(s) = -J sum_<ij> delta(s_i, s_j) on a hypercubic lattice, s_i = 0 .. q - 1, energies in the unit of J.

    A periodic length of 2 counts each bond twice; a length of 1 has no bond in its direction.

    Source: Potts, Proc. Camb. Phil. Soc. 48, 106 (1952); Wu, Rev. Mod. Phys. 54, 235 (1982), eq. 1.1 with 1.2b.
    """

    def __init__(self, spec: PottsSpec) -> None:
        self.spec = spec
        self._space = Categorical(spec.space)

    @property
    def space(self) -> Categorical:
        """Values 0 .. q - 1, shape ``spec.shape``."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Permutations of the values, and those of the lattice."""
        return self.spec.symmetries

    @cached_property
    def bonds(self) -> Int[Tensor, "bond 2"]:
        """The pairs <ij>, one row for each bond, sites in raster order."""
        return lattice_bonds(self.spec.shape, periodic=self.spec.periodic)

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(s), float64, shape (batch,)."""
        equal = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        for axis, length in enumerate(self.spec.shape, start=1):
            if length == 1:
                continue
            equal += (x.narrow(axis, 1, length - 1) == x.narrow(axis, 0, length - 1)).flatten(1).sum(1)
            if self.spec.periodic:
                equal += (x.select(axis, 0) == x.select(axis, length - 1)).reshape(x.shape[0], -1).sum(1)
        return -self.spec.J * equal.to(torch.float64) + 0.0  # turns -0.0 into 0.0

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_site`` in the unit of J; ``order_parameter``, dimensionless.

        The order parameter is (q f - 1) / (q - 1) with f the fraction of sites that have the most frequent value: 1
        when all are equal, 0 when all values are equally frequent.
        """
        q, n = self.spec.q, self.space.num_sites
        values = x.flatten(1).to(torch.int64)
        counts = torch.zeros(len(values), q, dtype=torch.float64, device=x.device)
        counts.scatter_add_(1, values, torch.ones_like(values, dtype=torch.float64))
        fraction = counts.amax(1) / n
        return {"energy_per_site": self.energy(x) / n, "order_parameter": (q * fraction - 1) / (q - 1)}

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z by the first method that applies; see ``zoo.exact.potts``."""
        return exact_reference(self.spec, beta)
