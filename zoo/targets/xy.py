"""The XY model on chains, square and cubic lattices."""

from math import pi
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.spaces import Torus
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.xy import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.xy import XYSpec


@final
class XY(ContinuousTarget, HasExactFreeEnergy):
    """E = -J sum_<ij> cos(theta_i - theta_j) on a hypercubic lattice, angles in radians, energies in the unit of J.

    A periodic length of 2 counts each bond twice; a length of 1 has no bond in its direction.

    Source: Kosterlitz and Thouless, J. Phys. C 6, 1181 (1973).
    """

    def __init__(self, spec: XYSpec) -> None:
        self.spec = spec
        self._space = Torus(spec.space)
        self._axes = tuple(axis for axis, side in enumerate(spec.shape, start=1) if side > 1)

    @property
    def space(self) -> Torus:
        """Angles of shape ``spec.shape``."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Change of sign, theta -> -theta, a common shift, reflections, and translations of a periodic lattice."""
        return self.spec.symmetries

    def energy(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """-J sum_<ij> cos(theta_i - theta_j), in the unit of J, float64, shape (batch,)."""
        theta = x.to(torch.float64)
        total = 0 * theta.flatten(1).sum(1)
        for axis in self._axes:
            total = total + self._differences(theta, axis).cos().flatten(1).sum(1)
        return -self.spec.J * total + 0.0  # turns -0.0 into 0.0

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-dE/d(theta_i) = J sum over the neighbours j of sin(theta_j - theta_i)."""
        theta = x.to(torch.float64)
        force = torch.zeros_like(theta)
        for axis in self._axes:
            torque = self._differences(theta, axis).sin()
            if not self.spec.periodic:  # the last site has no bond to the first
                torque = torch.cat([torque, torch.zeros_like(theta.narrow(axis, 0, 1))], axis)
            force = force + torque - torque.roll(1, axis)
        return self.spec.J * force

    def observables(self, x: Float[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_site`` in the unit of J; magnetization, helicity and vortices.

        Dimensionless ``abs_magnetization`` |sum_i exp(i theta_i)| / N and its square; the parts of the helicity modulus
        Upsilon = <helicity_energy> - beta <helicity_current_squared>, in the units of J and J^2,

            helicity_energy = J sum cos(theta_i - theta_j) / N,   helicity_current_squared = (J sum sin)^2 / N,

        summed over the bonds along an axis and averaged over the axes; and in 2D ``vortex_density``, the modulus of the
        winding of the angles around a plaquette, averaged over the plaquettes.
        """
        theta, n = x.to(torch.float64), self.space.num_sites
        along = [self._differences(theta, axis) for axis in self._axes]
        none = torch.zeros(len(theta), dtype=torch.float64, device=theta.device)
        cosines = torch.stack([none, *(d.cos().flatten(1).sum(1) for d in along)]).sum(0)
        sines = torch.stack([none, *(d.sin().flatten(1).sum(1).square() for d in along)]).sum(0)
        squared = (theta.cos().flatten(1).mean(1)).square() + (theta.sin().flatten(1).mean(1)).square()
        axes = len(self.spec.shape)
        found = {
            "energy_per_site": self.energy(x) / n,
            "abs_magnetization": squared.sqrt(),
            "magnetization_squared": squared,
            "helicity_energy": self.spec.J * cosines / (axes * n),
            "helicity_current_squared": self.spec.J**2 * sines / (axes * n),
        }
        if axes == 2 and min(self.spec.shape) > 1:
            found["vortex_density"] = self._winding(theta).abs().flatten(1).mean(1)
        return found

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z of a chain by transfer matrix; see ``zoo.exact.xy``."""
        return exact_reference(self.spec, beta)

    def _differences(self, theta: Float64[Tensor, "batch *event"], axis: int) -> Float64[Tensor, "batch *bonds"]:
        """theta_(i+e) - theta_i of the bonds along an axis of length at least 2."""
        if self.spec.periodic:
            return theta.roll(-1, axis) - theta
        return theta.diff(dim=axis)

    def _winding(self, theta: Float64[Tensor, "batch row column"]) -> Float64[Tensor, "batch row column"]:
        """Turns of the angle around each plaquette, in a 2D lattice: -1, 0 or 1."""
        down, right = (self._space.canonical(self._differences(theta, axis)) for axis in (1, 2))
        if self.spec.periodic:
            around = right + down.roll(-1, 2) - right.roll(-1, 1) - down
        else:
            around = right[:, :-1] + down[:, :, 1:] - right[:, 1:] - down[:, :, :-1]
        return (around / (2 * pi)).round()
