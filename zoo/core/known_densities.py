"""A density that is known as a distribution to learn from, beside those of targets."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.models import Density
from zoo.core.targets import States


@final
@dataclass(frozen=True)
class KnownDensity(States):
    """p(x) = q(x)^beta / Z of a normalised density q: u(x) = -beta ln q(x), and Z = 1 at beta = 1."""

    density: Density
    beta: float = 1.0

    @property
    def groups(self) -> int:
        """1."""
        return 1

    def reduced_energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """-beta ln q(x), float64, shape (batch,), without gradient."""
        with torch.no_grad():
            return -self.beta * self.density.log_prob(x)

    def reduced_force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """Beta grad ln q(x), float64, the shape of ``x``; for real variables, which can be moved."""
        with torch.enable_grad():
            position = x.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.density.log_prob(position).sum(), position)
        return self.beta * gradient.double()
