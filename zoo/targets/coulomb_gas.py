"""Like charges in a harmonic trap."""

from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.spaces import Particles
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.coulomb_gas import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.targets.pairs import Pairs, radius_of_gyration, sum_of_squares

_CLOSEST_SQUARED = 1e-24
"""Squared distance below which 1 / r and ln r stay what they are there: overlaps have finite energies and no force."""


@final
class CoulombGas(ContinuousTarget, HasExactFreeEnergy):
    """E(x) = k/2 sum_i |x_i|^2 + q^2 sum_{i<j} v(r_ij) with v(r) = 1/r or v(r) = -ln r, in free space.

    Both interactions repel: -ln r falls with r.  Distances below 1e-12 count as 1e-12, v = 1e12 or 27.6, so that
    the energies of coincident charges are finite.

    Source: Ginibre, J. Math. Phys. 6, 440 (1965), for the logarithmic gas in two dimensions.
    """

    def __init__(self, spec: CoulombGasSpec) -> None:
        self.spec = spec
        self._space = Particles(spec.space)
        self._pairs = Pairs(spec.n)
        self._inverse = spec.interaction == "inverse"

    @property
    def space(self) -> Particles:
        """Labelled particles in d dimensions."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Exchange, rotation, inversion."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(x), float64, shape (batch,)."""
        trap = self.spec.trap / 2 * sum_of_squares(x)
        return trap + self.spec.charge_squared * self._pairs.energy(x, self._potential)

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """F_i = -k x_i + q^2 sum_j (x_i - x_j) / r_ij^3 (inverse), or / r_ij^2 (logarithmic)."""
        return self.spec.charge_squared * self._pairs.force(x, self._slope) - self.spec.trap * x.to(torch.float64)

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_particle``; ``sum_r_squared`` and ``sum_r_fourth``, sums of |x_i|^2 and |x_i|^4; lengths.

        The lengths are ``radius_of_gyration``, ``largest_radius`` (the edge of the droplet), and, from two particles
        on, ``mean_pair_distance`` and ``smallest_pair_distance``.
        """
        squared = x.to(torch.float64).square().sum(2)
        values = {
            "energy_per_particle": self.energy(x) / self.spec.n,
            "sum_r_squared": squared.sum(1),
            "sum_r_fourth": squared.square().sum(1),
            "radius_of_gyration": radius_of_gyration(x),
            "largest_radius": squared.amax(1).sqrt(),
        }
        return values | (self._pairs.observables(x) if self.spec.n > 1 else {})

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z for one or two particles, without charge, or at beta q^2 = 2 in two dimensions (logarithmic)."""
        return exact_reference(self.spec, beta)

    def _potential(self, squared: Tensor) -> Tensor:
        r2 = squared.clamp_min(_CLOSEST_SQUARED)
        return r2.rsqrt() if self._inverse else -r2.log() / 2

    def _slope(self, squared: Tensor) -> Tensor:
        r2 = squared.clamp_min(_CLOSEST_SQUARED)
        slope = -(r2**-1.5) if self._inverse else -1 / r2
        return torch.where(squared < _CLOSEST_SQUARED, 0.0, slope)
