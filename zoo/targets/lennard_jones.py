"""Lennard-Jones clusters and periodic solids."""

from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.spaces import Particles
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.lennard_jones import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.targets.crystals import fcc_lattice
from zoo.targets.pairs import Pairs, radius_of_gyration, sum_of_squares

_CLOSEST = 1e-3
"""Distance, in units of sigma, below which the pair energy stays at its value there, 4e36 epsilon: a float32, still."""


@final
class LennardJones(ContinuousTarget, HasExactFreeEnergy):
    """E(x) = sum_{i<j} v(r_ij) + c/2 sum_i |x_i - x_cm|^2, v(r) = 4 eps [(sigma/r)^12 - (sigma/r)^6], each pair once.

    In a periodic box c = 0, r_ij is the distance of nearest images, and v is cut off at r_c: v(r) - v(r_c), or
    v(r) S((r - r_s) / (r_c - r_s)) with S(y) = 1 - 10 y^3 + 15 y^4 - 6 y^5 between r_s and r_c; see the spec for the
    sources and for published energies that differ by a factor.  Distances below 0.001 sigma count as
    0.001 sigma, 4e36 epsilon: overlapping particles have finite energies, and no force on each other.

    Source: Jones, Proc. R. Soc. A 106, 463 (1924).
    """

    def __init__(self, spec: LennardJonesSpec) -> None:
        self.spec = spec
        self._space = Particles(spec.space)
        self._pairs = Pairs(spec.n, spec.sides)
        self._cutoff = spec.cutoff_radius
        self._shift = 0.0
        if spec.sides is not None and spec.switching is None:
            self._shift = self._uncut(torch.tensor(self._cutoff**2, dtype=torch.float64))[0].item()

    @property
    def space(self) -> Particles:
        """Labelled particles, sum_i x_i = 0 or in a periodic box."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Exchange, translation, inversion, and rotation of clusters."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(x), float64, shape (batch,), in the unit of epsilon."""
        pairs = self._pairs.energy(x, self._potential)
        return pairs if self.spec.pull == 0 else pairs + self.spec.pull / 2 * sum_of_squares(_from_centre(x))

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """F_i = -sum_j v'(r_ij) (x_i - x_j) / r_ij - c (x_i - x_cm); its sum over particles is 0."""
        pairs = self._pairs.force(x, self._slope)
        return pairs if self.spec.pull == 0 else pairs - self.spec.pull * _from_centre(x)

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_particle`` in the unit of epsilon, and lengths: ``mean_`` and ``smallest_pair_distance``.

        Clusters also have their ``radius_of_gyration``, solids their ``excess_pressure``, -sum_{i<j} r v'(r) / (d V),
        in epsilon / length^d: the pressure is n / (beta V) more than its mean.
        """
        values = {"energy_per_particle": self.energy(x) / self.spec.n, **self._pairs.observables(x)}
        if self.spec.volume is None:
            return values | {"radius_of_gyration": radius_of_gyration(x)}
        virial = self._pairs.virial(x, self._slope)
        return values | {"excess_pressure": virial / (self.spec.dimension * self.spec.volume)}

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z of two particles."""
        return exact_reference(self.spec, beta)

    def lattice(self) -> Float64[Tensor, "particle axis"]:
        """The face-centred cubic sites for n = 4 m^3 in a cubic box; ``fcc_lattice`` says what it raises."""
        return fcc_lattice(self.spec.n, self.spec.sides)

    def _uncut(self, squared: Tensor) -> tuple[Tensor, Tensor]:
        """v(r) and v'(r) / r without cut-off."""
        scaled = squared / self.spec.sigma**2
        apart = scaled.clamp_min(_CLOSEST**2)
        s6 = apart**-3
        slope = -24 * self.spec.epsilon / self.spec.sigma**2 * s6 * (2 * s6 - 1) / apart
        return 4 * self.spec.epsilon * s6 * (s6 - 1), torch.where(scaled < _CLOSEST**2, 0.0, slope)

    def _potential(self, squared: Tensor) -> Tensor:
        energy, _ = self._uncut(squared)
        if self.spec.sides is None:
            return energy
        if self.spec.switching is not None:
            energy = energy * self._switch(squared.clamp_min(self.spec.switching**2).sqrt())[0]
        return torch.where(squared < self._cutoff**2, energy - self._shift, 0.0)

    def _slope(self, squared: Tensor) -> Tensor:
        energy, slope = self._uncut(squared)
        if self.spec.sides is None:
            return slope
        if self.spec.switching is not None:
            distance = squared.clamp_min(self.spec.switching**2).sqrt()
            switch, falling = self._switch(distance)
            slope = slope * switch + energy * falling / distance
        return torch.where(squared < self._cutoff**2, slope, 0.0)

    def _switch(self, distance: Tensor) -> tuple[Tensor, Tensor]:
        """S and dS/dr between r_s and the cut-off; 1 and 0 at r_s."""
        width = self._cutoff - (self.spec.switching or 0.0)
        y = (distance - (self.spec.switching or 0.0)) / width
        return 1 - y**3 * (10 - 15 * y + 6 * y * y), -30 * (y * (1 - y)) ** 2 / width


def _from_centre(x: Tensor) -> Tensor:
    position = x.to(torch.float64)
    return position - position.mean(1, keepdim=True)
