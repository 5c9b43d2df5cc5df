"""Two-dimensional U(1) lattice gauge theory."""

from math import pi
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.spaces import Torus
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.u1_gauge import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.u1_gauge import U1GaugeSpec


@final
class U1Gauge(ContinuousTarget, HasExactFreeEnergy):
    """E = -sum_p cos theta_p on a periodic L1 x L2 lattice, dimensionless; links (2, L1, L2) in radians.

    theta_p(x) = theta_0(x) + theta_1(x + e_0) - theta_0(x + e_1) - theta_1(x).  The N = 2 V variables are the links, so
    ``energy_per_site`` is E / (2 V), minus half the mean plaquette.

    Source: Wilson, Phys. Rev. D 10, 2445 (1974).
    """

    def __init__(self, spec: U1GaugeSpec) -> None:
        self.spec = spec
        self._space = Torus(spec.space)

    @property
    def space(self) -> Torus:
        """Angles of shape (2, L1, L2)."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Change of sign, theta -> -theta, translations, a common shift of all links, and gauge transformations."""
        return self.spec.symmetries

    def energy(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """-sum_p cos theta_p, dimensionless, float64, shape (batch,)."""
        return -plaquette_angles(x).cos().flatten(1).sum(1)

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-dE/d(theta_mu(x)) = -sum_p sin theta_p d(theta_p)/d(theta_mu(x)), float64.

        theta_0(x) is in theta_p(x) and, reversed, in theta_p(x - e_1); theta_1(x) in theta_p(x - e_0) and, reversed, in
        theta_p(x).
        """
        sine = plaquette_angles(x).sin()
        return torch.stack([sine.roll(1, -1) - sine, sine - sine.roll(1, -2)], 1)

    def observables(self, x: Float[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """Dimensionless: ``energy_per_site`` E / (2 V), for each link; ``plaquette``, the mean of cos theta_p.

        ``topological_charge`` Q = (1 / 2 pi) sum_p theta_p, each theta_p wrapped into [-pi, pi), is a whole number;
        ``topological_charge_squared`` / V is its susceptibility.
        """
        angles = plaquette_angles(x)
        plaquette = angles.cos().flatten(1).mean(1)
        charge = (self._space.canonical(angles).flatten(1).sum(1) / (2 * pi)).round() + 0.0  # turns -0.0 into 0.0
        return {
            "energy_per_site": -plaquette / 2,
            "plaquette": plaquette,
            "topological_charge": charge,
            "topological_charge_squared": charge.square(),
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z by character expansion; see ``zoo.exact.u1_gauge``."""
        return exact_reference(self.spec, beta)


def plaquette_angles(x: Float[Tensor, "batch 2 row column"]) -> Float64[Tensor, "batch row column"]:
    """theta_p(x) = theta_0(x) + theta_1(x + e_0) - theta_0(x + e_1) - theta_1(x) in radians, not wrapped."""
    first, second = x.to(torch.float64).unbind(1)
    return first + second.roll(-1, -2) - first.roll(-1, -1) - second
