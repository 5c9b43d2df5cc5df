"""Conditioners that see angles."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.nn.conditioner import Conditioner
from zoo.nn.conditioning import Features


@final
class PeriodicInputs(Conditioner):
    """An inner conditioner that sees the cosines and sines of the frozen angles: two inputs for each."""

    def __init__(self, inner: Conditioner) -> None:
        super().__init__()
        self.inner = inner

    def forward(
        self, y: Float[Tensor, "batch frozen"], features: Features = None
    ) -> Float[Tensor, "row parameter active"]:
        """p(cos y, sin y), shape (batch, parameter, active)."""
        found: Tensor = self.inner(torch.cat([y.cos(), y.sin()], 1), features)
        return found
