"""Classical vector spins on chains, square and cubic lattices."""

from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.spaces import Spheres
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.vector_spins import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.vector_spins import VectorSpinsSpec


@final
class VectorSpins(ContinuousTarget, HasExactFreeEnergy):
    """E = -J sum_<ij> s_i . s_j - h sum_i s_i^d of unit vectors on a hypercubic lattice, in the unit of J and h.

    A periodic length of 2 counts each bond twice; a length of 1 has no bond in its direction.

    Source: Stanley, Phys. Rev. Lett. 20, 589 (1968).
    """

    def __init__(self, spec: VectorSpinsSpec) -> None:
        self.spec = spec
        self._space = Spheres(spec.space)
        self._axes = tuple(axis for axis, side in enumerate(spec.shape, start=1) if side > 1)

    @property
    def space(self) -> Spheres:
        """Unit vectors along the last axis, shape (*``spec.shape``, d)."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Signs and rotations without a field; reflections of the lattice, and translations of a periodic one."""
        return self.spec.symmetries

    def energy(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """-J sum_<ij> s_i . s_j - h sum_i s_i^d, in the unit of J and h, float64, shape (batch,)."""
        s = x.to(torch.float64)
        total = self.spec.h * s[..., -1].flatten(1).sum(1)
        for axis in self._axes:
            total = total + self.spec.J * (s * self._following(s, axis)).flatten(1).sum(1)
        return -total + 0.0  # turns -0.0 into 0.0

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-dE/ds_i = J sum over the neighbours j of s_j + h e_d, as if the components were free: not projected."""
        s = x.to(torch.float64)
        force = torch.zeros_like(s)
        force[..., -1] = self.spec.h
        for axis in self._axes:
            force = force + self.spec.J * (self._following(s, axis) + self._preceding(s, axis))
        return force

    def observables(self, x: Float[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy_per_site`` in the unit of J; ``magnetization`` along the field, and of the mean vector.

        With M = sum_i s_i: ``magnetization`` M^d / N, ``abs_magnetization`` |M| / N, ``magnetization_squared``
        |M|^2 / N^2, dimensionless.
        """
        s = x.to(torch.float64)
        mean = s.flatten(1, -2).mean(1)
        squared = mean.square().sum(1)
        return {
            "energy_per_site": self.energy(x) / self.space.num_vectors,
            "magnetization": mean[:, -1],
            "abs_magnetization": squared.sqrt(),
            "magnetization_squared": squared,
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z of a chain without a field, or of independent spins; see ``zoo.exact.vector_spins``."""
        return exact_reference(self.spec, beta)

    def _following(self, s: Float64[Tensor, "batch *event"], axis: int) -> Float64[Tensor, "batch *event"]:
        """s_(i+e) at i; nothing behind the last site of an open lattice."""
        return self._open(s.roll(-1, axis), axis, -1)

    def _preceding(self, s: Float64[Tensor, "batch *event"], axis: int) -> Float64[Tensor, "batch *event"]:
        """s_(i-e) at i; nothing before the first site of an open lattice."""
        return self._open(s.roll(1, axis), axis, 0)

    def _open(self, rolled: Float64[Tensor, "batch *event"], axis: int, end: int) -> Float64[Tensor, "batch *event"]:
        if not self.spec.periodic:
            rolled.select(axis, end).zero_()  # of a copy: roll never gives a view
        return rolled
