"""What a conditioner is: a network that gives the parameters of some variables from others."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.nn.conditioning import Features


class Conditioner(nn.Module, ABC):
    """Parameters p of every active variable from the frozen ones y, and from features of the conditions."""

    @abstractmethod
    def forward(
        self, y: Float[Tensor, "batch frozen"], features: Features = None
    ) -> Float[Tensor, "row parameter active"]:
        """p(y), shape (batch, parameter, active variable); one row where there is nothing to depend on."""


@final
@dataclass(frozen=True)
class Parity:
    """How parameters change with the sign of what they depend on: p(-y) = R p(y), (R p)_k = s_k p_(n_k), R R = 1.

    A general network E(y) + O(y), E even and O odd, gets it by the projection p = (E + R E) / 2 + (O - R O) / 2, and
    since R is linear so does its last layer once and for all.
    """

    sources: Sequence[int]
    signs: Sequence[float]

    @property
    def is_odd(self) -> bool:
        """Whether R = -1: there is no even part then."""
        return tuple(self.sources) == tuple(range(len(self.sources))) and all(sign == -1 for sign in self.signs)

    def even(self, weight: Float[Tensor, "parameter *rest"]) -> Float[Tensor, "parameter *rest"]:
        """(W + R W) / 2 for weights whose first axis is the parameter."""
        return (weight + self._reflected(weight)) / 2

    def odd(self, weight: Float[Tensor, "parameter *rest"]) -> Float[Tensor, "parameter *rest"]:
        """(W - R W) / 2."""
        return (weight - self._reflected(weight)) / 2

    def _reflected(self, weight: Tensor) -> Tensor:
        signs = torch.tensor(self.signs, dtype=weight.dtype, device=weight.device)
        return weight[list(self.sources)] * signs.view(-1, *[1] * (weight.ndim - 1))
