"""Lattices cut into blocks, and maps of a part of the variables: what multiscale flows are made of."""

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.models.bijections.base import Bijection, Mapped
from zoo.models.bijections.permutation import Permutation
from zoo.nn.conditioning import Features


def unsqueezing(channels: int, lattice: Sequence[int]) -> Permutation:
    """The order that lays blocks of 2 sites along every axis, each site of a block a channel, out on ``lattice``.

    Data have ``channels`` channels on the lattice; latents have channels x 2^d channels on one of half the side
    lengths, channel c 2^d + o holding the sites at place o of the blocks of channel c.  All are one channel after the
    other, in raster order.

    Source: Dinh, Sohl-Dickstein, Bengio, arXiv:1605.08803, section 3.6.
    """
    d = len(lattice)
    blocks = torch.arange(channels * prod(lattice)).view(channels, *chain(*((side // 2, 2) for side in lattice)))
    places, sites = [2 + 2 * axis for axis in range(d)], [1 + 2 * axis for axis in range(d)]
    return Permutation(blocks.permute(0, *places, *sites).flatten().argsort())


@final
class OnFirst(Bijection):
    """A bijection of the first ``number`` variables; the others stay."""

    def __init__(self, bijection: Bijection, number: int) -> None:
        super().__init__()
        self.bijection = bijection
        self.number = number

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """The first mapped, the others behind them."""
        mapped, log_det = self.bijection.forward_and_log_det(z[:, : self.number], features)
        return torch.cat([mapped, z[:, self.number :]], 1), log_det

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """The first mapped back, the others behind them."""
        mapped, log_det = self.bijection.inverse_and_log_det(x[:, : self.number], features)
        return torch.cat([mapped, x[:, self.number :]], 1), log_det
