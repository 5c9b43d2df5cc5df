"""A double well with harmonic directions."""

from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.spaces import Reals
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.double_well import barrier_position, exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.double_well import DoubleWellSpec


@final
class DoubleWell(ContinuousTarget, HasExactFreeEnergy):
    """E(x) = a (x_0^2 - b)^2 + c x_0 + 1/2 k sum_{i>=1} x_i^2, in the unit of a x^4; c > 0 favours x_0 < 0.

    Noe et al. write 1/4 a' x^4 - 1/2 b' x^2 + c' x + 1/2 d' y^2: that is a = a'/4, b = b'/a', c = c', k = d', less the
    constant a b^2.

    Source: Noe, Olsson, Koehler and Wu, Science 365, eaaw1147 (2019).
    """

    def __init__(self, spec: DoubleWellSpec) -> None:
        self.spec = spec
        self._space = Reals(spec.space)
        self._barrier = barrier_position(spec)

    @property
    def space(self) -> Reals:
        """R^dimension."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x at c = 0."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch n"]) -> Float[Tensor, " batch"]:
        """E(x), float64, shape (batch,)."""
        x = x.to(torch.float64)
        first, others = x[:, 0], x[:, 1:]
        along = self.spec.a * (first.square() - self.spec.b).square() + self.spec.c * first
        return along + self.spec.k / 2 * others.square().sum(1)

    def force(self, x: Float[Tensor, "batch n"]) -> Float64[Tensor, "batch n"]:
        """-4 a x_0 (x_0^2 - b) - c along x_0, -k x_i along the others; shape of ``x``."""
        x = x.to(torch.float64)
        first = x[:, :1]
        along = -4 * self.spec.a * first * (first.square() - self.spec.b) - self.spec.c
        return torch.cat([along, -self.spec.k * x[:, 1:]], 1)

    def observables(self, x: Num[Tensor, "batch n"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy`` in the unit of a x^4; ``position`` x_0; ``right_well`` 1 beyond the barrier, else 0.

        The barrier is the local maximum along x_0, or 0 where there is one well only.
        """
        first = x[:, 0].to(torch.float64)
        right = (first > self._barrier).to(torch.float64)
        return {"energy": self.energy(x), "position": first, "right_well": right}

    def exact_reference(self, beta: float) -> ExactReference:
        """Quadrature; see ``zoo.exact.double_well``."""
        return exact_reference(self.spec, beta)
