"""Fixed orders of the variables."""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zoo.models.bijections.base import Bijection, Mapped
from zoo.nn.conditioning import Features


@final
class Permutation(Bijection):
    """x_i = z_(o(i)) for an order o of the variables; ln |det| = 0."""

    def __init__(self, order: Int[Tensor, " site"]) -> None:
        super().__init__()
        if not torch.equal(order.sort().values, torch.arange(len(order))):
            msg = f"an order of {len(order)} variables names each of 0 .. {len(order) - 1} once; {order.tolist()} came"
            raise ValueError(msg)
        self.register_buffer("_order", order, persistent=False)
        self.register_buffer("_back", order.argsort(), persistent=False)

    _order: Tensor
    _back: Tensor

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Variable o(i) at place i."""
        return z.index_select(1, self._order), z.new_zeros(len(z)).double()

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Variable i at place o(i)."""
        return x.index_select(1, self._back), x.new_zeros(len(x)).double()


def reversal(num_sites: int) -> Permutation:
    """The last variable first."""
    return Permutation(torch.arange(num_sites).flip(0))
