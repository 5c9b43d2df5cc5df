"""Particles with a double well in their distances (DW4)."""

from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.spaces import Particles
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.double_well_particles import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.double_well_particles import DoubleWellParticlesSpec
from zoo.targets.pairs import Pairs, radius_of_gyration

_CLOSEST_SQUARED = 1e-24
"""Squared distance below which two particles exert no force on each other: its direction is not defined at 0."""


@final
class DoubleWellParticles(ContinuousTarget, HasExactFreeEnergy):
    """E(x) = sum_{i<j} [a (r_ij - r0) + b (r_ij - r0)^2 + c (r_ij - r0)^4] / tau, each pair once.

    Distances below 1e-12 count as 1e-12; the energies of coincident particles are finite without it.

    The energy depends on differences alone, also of coordinates whose centre of mass is not at the origin.

    Source: Köhler, Klein and Noé, Equivariant flows, ICML (2020), arXiv:2006.02425, with a = 0, b = -4, c = 0.9,
    r0 = 4, tau = 1; their sum over all i and j is halved, which is each pair once.
    """

    def __init__(self, spec: DoubleWellParticlesSpec) -> None:
        self.spec = spec
        self._space = Particles(spec.space)
        self._pairs = Pairs(spec.n)

    @property
    def space(self) -> Particles:
        """Labelled particles in d dimensions, sum_i x_i = 0."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Exchange, rotation, translation, inversion."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(x), float64, shape (batch,)."""
        return self._pairs.energy(x, self._potential)

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """F_i = -sum_j v'(r_ij) (x_i - x_j) / r_ij, v' = [a + 2 b (r - r0) + 4 c (r - r0)^3] / tau; its sum is 0."""
        return self._pairs.force(x, self._slope)

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_particle``, and lengths in the unit of r0.

        They are ``mean_pair_distance``, ``smallest_pair_distance``, ``radius_of_gyration``.
        """
        return {
            "energy_per_particle": self.energy(x) / self.spec.n,
            "radius_of_gyration": radius_of_gyration(x),
            **self._pairs.observables(x),
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z of two particles."""
        return exact_reference(self.spec, beta)

    def _potential(self, squared: Tensor) -> Tensor:
        spec = self.spec
        away = squared.clamp_min(_CLOSEST_SQUARED).sqrt() - spec.r0
        return away * (spec.a + away * (spec.b + spec.c * away * away)) / spec.tau

    def _slope(self, squared: Tensor) -> Tensor:
        spec = self.spec
        distance = squared.clamp_min(_CLOSEST_SQUARED).sqrt()
        away = distance - spec.r0
        slope = (spec.a + away * (2 * spec.b + 4 * spec.c * away * away)) / (spec.tau * distance)
        return torch.where(squared < _CLOSEST_SQUARED, 0.0, slope)
