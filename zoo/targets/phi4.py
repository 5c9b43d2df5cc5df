"""The scalar field with a quartic self-interaction on a periodic lattice."""

from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.spaces import Reals
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.phi4 import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.phi4 import Phi4Spec


@final
class Phi4(ContinuousTarget, HasExactFreeEnergy):
    """S = sum_x [phi_x (box phi)_x + m^2 phi_x^2 + lambda phi_x^4], periodic, in lattice units.

    Evaluated as sum_x [sum_mu (phi_(x+mu) - phi_x)^2 + m^2 phi_x^2 + lambda phi_x^4], which is the same and does not
    cancel.  A length of 2 counts its two coinciding neighbours twice; a length of 1 contributes nothing.

    Source: Albergo, Kanwar, Shanahan, Phys. Rev. D 100, 034515 (2019).
    """

    def __init__(self, spec: Phi4Spec) -> None:
        self.spec = spec
        self._space = Reals(spec.space)

    @property
    def space(self) -> Reals:
        """Real numbers of shape ``spec.shape``."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Change of sign, phi -> -phi, and those of the periodic lattice."""
        return self.spec.symmetries

    def energy(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """S(phi), dimensionless, float64, shape (batch,)."""
        phi = x.to(torch.float64)
        squared = phi * phi
        density = squared * (self.spec.mass_squared + self.spec.coupling * squared)
        for axis in range(1, phi.ndim):
            density = density + (phi.roll(-1, axis) - phi).square()
        return density.flatten(1).sum(1)

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-dS/dphi_x = -2 (box phi)_x - 2 m^2 phi_x - 4 lambda phi_x^3."""
        phi = x.to(torch.float64)
        force = -phi * (2 * self.spec.mass_squared + 4 * self.spec.coupling * phi * phi)
        for axis in range(1, phi.ndim):
            force = force + 2 * (phi.roll(-1, axis) + phi.roll(1, axis) - 2 * phi)
        return force

    def observables(self, x: Float[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """Dimensionless means over the lattice.

        ``energy_per_site`` S / N; ``magnetization`` m = mean phi, its modulus and its square; ``phi_squared`` and
        ``phi_fourth``; ``neighbour_correlation``, the mean of phi_x phi_(x+mu) over sites and axes.
        """
        phi = x.to(torch.float64)
        squared = phi * phi
        magnetization = phi.flatten(1).mean(1)
        neighbours = torch.stack([phi * phi.roll(-1, axis) for axis in range(1, phi.ndim)], 1)
        return {
            "energy_per_site": self.energy(x) / self.space.num_sites,
            "magnetization": magnetization,
            "abs_magnetization": magnetization.abs(),
            "magnetization_squared": magnetization.square(),
            "phi_squared": squared.flatten(1).mean(1),
            "phi_fourth": squared.square().flatten(1).mean(1),
            "neighbour_correlation": neighbours.flatten(1).mean(1),
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z by the first method that applies; see ``zoo.exact.phi4``."""
        return exact_reference(self.spec, beta)
