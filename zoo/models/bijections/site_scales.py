"""One scale for every variable."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.models.bijections.base import Bijection, Mapped
from zoo.nn.conditioning import Features


@final
class SiteScales(Bijection):
    """x_i = exp(s_i) z_i with ln |det| = sum_i s_i.

    Source: Dinh, Krueger, Bengio, arXiv:1410.8516, section 3.3.
    """

    def __init__(self, num_sites: int) -> None:
        super().__init__()
        self.log_scales = nn.Parameter(torch.zeros(num_sites))

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """exp(s) z."""
        return _scaled(z, self.log_scales)

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """exp(-s) x."""
        return _scaled(x, -self.log_scales)


def _scaled(z: Float[Tensor, "batch site"], log_scales: Float[Tensor, " site"]) -> Mapped:
    return z * log_scales.exp(), log_scales.sum(dtype=torch.float64).expand(len(z))
