"""Affine and additive maps of single variables."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.models.bijections.scalar_map import ScalarMap, Scalars
from zoo.nn.conditioner import Parity

LARGEST_LOG_SCALE = 4.0
"""Bound of |ln a| of one layer: scales from 0.018 to 55, so that no step of a training makes a model blow up."""


@final
class AffineMap(ScalarMap):
    """x = a z + b with ln a = 4 tanh(p_0 / 4) and b = p_1.

    Source: Dinh, Sohl-Dickstein, Bengio, arXiv:1605.08803.
    """

    @property
    def num_parameters(self) -> int:
        """2."""
        return 2

    @property
    def parity(self) -> Parity:
        """The scale is even, the shift odd."""
        return Parity((0, 1), (1.0, -1.0))

    def forward(self, z: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """A z + b and ln a."""
        log_scale = _log_scale(parameters)
        return Scalars(torch.addcmul(parameters[:, 1], z, log_scale.exp()), log_scale)

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """(x - b) / a and -ln a."""
        negative = -_log_scale(parameters)
        return Scalars((x - parameters[:, 1]) * negative.exp(), negative)


@final
class AdditiveMap(ScalarMap):
    """x = z + p: it keeps volumes.

    Source: Dinh, Krueger, Bengio, arXiv:1410.8516.
    """

    @property
    def num_parameters(self) -> int:
        """1."""
        return 1

    @property
    def parity(self) -> Parity:
        """The shift is odd."""
        return Parity((0,), (-1.0,))

    def forward(self, z: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """Z + p and 0."""
        return Scalars(z + parameters[:, 0], torch.zeros_like(z))

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """X - p and 0."""
        return Scalars(x - parameters[:, 0], torch.zeros_like(x))


def _log_scale(parameters: Float[Tensor, "row parameter site"]) -> Float[Tensor, "row site"]:
    return LARGEST_LOG_SCALE * torch.tanh(parameters[:, 0] / LARGEST_LOG_SCALE)
