"""What a bijection is: an invertible map with the logarithm of its Jacobian determinant, forward = latent to data."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from zoo.nn.conditioning import Features

Mapped = tuple[Float[Tensor, "batch site"], Float[Tensor, " batch"]]
"""Images of a batch, and ln |det| of the derivative of the map, float64."""


class Bijection(nn.Module, ABC):
    """x = f(z) of flat vectors, shape (batch, site), one to one and differentiable both ways.

    ``features`` are what is known of a model's conditions: one row for all, one for each, or None.  The numbers keep
    their dtype; logarithms of determinants are float64.
    """

    @abstractmethod
    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """X = f(z), latent to data, and ln |det dx/dz|."""

    @abstractmethod
    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Z = f^-1(x), data to latent, and ln |det dz/dx| = -ln |det dx/dz| at that z."""


@final
class Composition(Bijection):
    """f = f_n o .. o f_1: forward takes ``steps`` in their order, and the logarithms of determinants add up."""

    def __init__(self, steps: Sequence[Bijection]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """f_n(.. f_1(z)) and the sum of the logarithms."""
        total = z.new_zeros(len(z)).double()
        for step in self._bijections():
            z, log_det = step.forward_and_log_det(z, features)
            total = total + log_det
        return z, total

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """f_1^-1(.. f_n^-1(x)) and the sum of the logarithms."""
        total = x.new_zeros(len(x)).double()
        for step in reversed(self._bijections()):
            x, log_det = step.inverse_and_log_det(x, features)
            total = total + log_det
        return x, total

    def _bijections(self) -> list[Bijection]:
        return [step for step in self.steps if isinstance(step, Bijection)]
