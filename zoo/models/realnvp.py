"""Affine coupling flows."""

from typing import final

from zoo.core.spaces import Space
from zoo.models.bijections.affine import AffineMap
from zoo.models.coupling_flow import CouplingFlow
from zoo.specs.models.realnvp import RealNvpSpec


@final
class RealNvp(CouplingFlow):
    """x_a = exp(s(z_b)) z_a + t(z_b) for the two halves a and b in turn; see ``CouplingFlow``.

    Fast in both directions.  Good on fields and other unimodal targets; of modes that are far apart it makes one with a
    thin bridge.

    Source: Dinh, Sohl-Dickstein, Bengio, arXiv:1605.08803; on lattices Albergo, Kanwar, Shanahan, arXiv:1904.12072.
    """

    def __init__(self, spec: RealNvpSpec, space: Space, seed: int) -> None:
        super().__init__(spec, space, seed, AffineMap())
