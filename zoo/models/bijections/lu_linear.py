"""Learnt linear maps that cannot become singular."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.linalg import solve_triangular

from zoo.models.bijections.affine import LARGEST_LOG_SCALE
from zoo.models.bijections.base import Bijection, Mapped
from zoo.nn.conditioning import Features


@final
class LULinear(Bijection):
    """x = P L U z + b of the channels at every site: L has a unit diagonal, that of U is exp(s), and P turns the order.

    The variables are channels with ``num_sites`` sites each, one channel after the other; with one site it is any
    linear map of all variables, with more an invertible 1x1 convolution.  s = 4 tanh(d / 4) of learnt numbers d, so no
    pivot is smaller than 0.018 and ln |det| = sites x sum s is finite whatever the weights are.  They begin at zero:
    x = P z.

    Source: Kingma, Dhariwal, arXiv:1807.03039, section 3.2, with P the reversal and s bounded.
    """

    def __init__(self, num_channels: int, num_sites: int = 1) -> None:
        super().__init__()
        self.num_channels, self.num_sites = num_channels, num_sites
        self.entries = nn.Parameter(torch.zeros(num_channels, num_channels))
        """L below the diagonal, U above it, and the d on it."""
        self.shift = nn.Parameter(torch.zeros(num_channels))

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Two products with triangular matrices."""
        lower, upper, log_det = self._factors()
        x = (lower @ (upper @ self._columns(z))).flip(0) + self.shift[:, None]
        return self._rows(x), log_det.expand(len(z))

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Two solutions of triangular equations."""
        lower, upper, log_det = self._factors()
        turned = (self._columns(x) - self.shift[:, None]).flip(0)
        halfway = solve_triangular(lower, turned, upper=False, unitriangular=True)
        return self._rows(solve_triangular(upper, halfway, upper=True)), -log_det.expand(len(x))

    def _factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """L, U and ln |det|."""
        log_scales = LARGEST_LOG_SCALE * torch.tanh(self.entries.diagonal() / LARGEST_LOG_SCALE)
        lower = self.entries.tril(-1) + torch.eye(self.num_channels, dtype=log_scales.dtype, device=log_scales.device)
        upper = self.entries.triu(1) + torch.diag(log_scales.exp())
        return lower, upper, self.num_sites * log_scales.sum(dtype=torch.float64)

    def _columns(self, x: Float[Tensor, "batch site"]) -> Float[Tensor, "channel column"]:
        return x.view(len(x), self.num_channels, self.num_sites).transpose(0, 1).flatten(1)

    def _rows(self, columns: Float[Tensor, "channel column"]) -> Float[Tensor, "batch site"]:
        return columns.view(self.num_channels, -1, self.num_sites).transpose(0, 1).flatten(1)
