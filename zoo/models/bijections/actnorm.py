"""A learnt scale and shift of every channel."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.models.bijections.affine import AffineMap
from zoo.models.bijections.base import Bijection, Mapped
from zoo.nn.conditioning import Features


@final
class ActNorm(Bijection):
    """x = exp(s) z + b with s and b of each channel, the map of ``AffineMap`` with parameters that see nothing.

    The variables are channels with ``num_sites`` sites each, one channel after the other; with one site every variable
    has its own.  The map begins as the identity and learns by gradient alone: no batch of data sets it.

    Source: Kingma, Dhariwal, arXiv:1807.03039, section 3.1, without the initialisation by data.
    """

    def __init__(self, num_channels: int, num_sites: int = 1) -> None:
        super().__init__()
        self.num_sites = num_sites
        self.map = AffineMap()
        self.scale_and_shift = nn.Parameter(torch.zeros(self.map.num_parameters, num_channels))

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Scaled, then shifted."""
        values, log_slopes = self.map.forward(z, self._by_variable())
        return values, log_slopes.sum(1, dtype=torch.float64).expand(len(z))

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Shifted back, then scaled back."""
        values, log_slopes = self.map.inverse(x, self._by_variable())
        return values, log_slopes.sum(1, dtype=torch.float64).expand(len(x))

    def _by_variable(self) -> Float[Tensor, "1 2 site"]:
        return self.scale_and_shift.repeat_interleave(self.num_sites, 1)[None]
