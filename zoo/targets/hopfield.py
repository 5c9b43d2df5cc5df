"""The Hopfield model: an associative memory of spins."""

from functools import cached_property
from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.spaces import Spins
from zoo.core.targets import HasExactFreeEnergy, PairInteractions, PairwiseSpins
from zoo.exact.hopfield import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.hopfield import HopfieldSpec
from zoo.targets.spin_glass import pair_interactions

_OVERLAPS_SHOWN = 8


@final
class Hopfield(PairwiseSpins, HasExactFreeEnergy):
    """E(s) = -sum_{i<j} J_ij s_i s_j with J_ij = (1/n) sum_p xi_pi xi_pj, in the unit of n J_ij for one pattern.

    It is computed from the overlaps m_p,

        E(s) = -(n/2) sum_p m_p^2 + p/2,      m_p = (1/n) sum_i xi_pi s_i.

    Source: Hopfield, PNAS 79, 2554 (1982).
    """

    def __init__(self, spec: HopfieldSpec) -> None:
        self.spec = spec
        self._space = Spins(spec.space)
        self._patterns = torch.from_numpy(spec.pattern_values()).to(torch.float32)

    @property
    def space(self) -> Spins:
        """Spins of shape (n,)."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Spin flip; those of a ring only where the patterns allow them."""
        return self.spec.symmetries

    @cached_property
    def interactions(self) -> PairInteractions:
        """J_ij for each pair where it is not 0, and no fields."""
        couplings = (self._patterns.T @ self._patterns).to(torch.float64) / self.spec.n
        pairs = couplings.triu(1).nonzero()
        fields = torch.zeros(self.spec.n, dtype=torch.float64)
        return pair_interactions(pairs, couplings[pairs[:, 0], pairs[:, 1]], fields)

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(s), float64, shape (batch,)."""
        return len(self._patterns) / 2 - self.spec.n / 2 * self._overlaps(x).square().sum(1)

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_site``; ``overlap_1`` .. m_p of the first 8 patterns; ``max_abs_overlap`` of all: -1 to 1."""
        overlaps = self._overlaps(x)
        shown = {f"overlap_{p + 1}": overlaps[:, p] for p in range(min(_OVERLAPS_SHOWN, overlaps.shape[1]))}
        return {
            "energy_per_site": self.energy(x) / self.spec.n,
            **shown,
            "max_abs_overlap": overlaps.abs().amax(1),
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z by enumeration or over pattern classes; see ``zoo.exact.hopfield``."""
        return exact_reference(self.spec, beta)

    def _overlaps(self, x: Num[Tensor, "batch *event"]) -> Float64[Tensor, "batch pattern"]:
        """m_p, shape (batch, p); the sums are whole numbers of at most 4096 and so exact in float32."""
        return (x.to(torch.float32) @ self._patterns.T.to(x.device)).to(torch.float64) / self.spec.n
