"""Rings in the plane."""

from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.spaces import Reals
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.ring import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.ring import RingSpec


@final
class Ring(ContinuousTarget, HasExactFreeEnergy):
    """E(x) = min_i (|x| - R_i)^2 / (2 w^2) in the plane, dimensionless.

    At the origin, where the direction of the force is not defined, it is 0; half way between two rings it is that of
    one of them.

    Source: Song, Zhao and Ermon, NeurIPS (2017), arXiv:1706.07561.
    """

    def __init__(self, spec: RingSpec) -> None:
        self.spec = spec
        self._space = Reals(spec.space)
        self._radii = torch.tensor(spec.radii, dtype=torch.float64)

    @property
    def space(self) -> Reals:
        """The plane."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch 2"]) -> Float[Tensor, " batch"]:
        """E(x), float64, shape (batch,)."""
        return (self._gaps(_distance(x)).square() / (2 * self.spec.width**2)).amin(1)

    def force(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, "batch 2"]:
        """-(|x| - R) / w^2 along x / |x|, R the nearest radius; shape of ``x``."""
        r = _distance(x)
        gaps = self._gaps(r)
        nearest = gaps.gather(1, gaps.abs().argmin(1, keepdim=True))
        direction = x.to(torch.float64) / r.clamp_min(torch.finfo(torch.float64).tiny)[:, None]
        return -nearest / self.spec.width**2 * direction

    def observables(self, x: Num[Tensor, "batch 2"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy`` in kT at beta = 1; ``radius`` |x|; ``in_first_ring`` 1 where the innermost ring is nearest."""
        r = _distance(x)
        first = (self._gaps(r).abs().argmin(1) == 0).to(torch.float64)
        return {"energy": self.energy(x), "radius": r, "in_first_ring": first}

    def exact_reference(self, beta: float) -> ExactReference:
        """The closed form; see ``zoo.exact.ring``."""
        return exact_reference(self.spec, beta)

    def _gaps(self, r: Float64[Tensor, " batch"]) -> Float64[Tensor, "batch ring"]:
        """|x| - R_i."""
        return r[:, None] - self._radii.to(r.device)


def _distance(x: Num[Tensor, "batch 2"]) -> Float64[Tensor, " batch"]:
    """|x|, with gradient 0 at the origin."""
    distance: Tensor = torch.linalg.vector_norm(x.to(torch.float64), dim=1)
    return distance
