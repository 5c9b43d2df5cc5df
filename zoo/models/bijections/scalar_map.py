"""One-dimensional maps with parameters of their own for every variable: what couplings and masked layers apply."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from zoo.nn.conditioner import Parity


class Scalars(NamedTuple):
    """Values of a scalar map, and ln |derivative| of each, both of shape (batch, site) and the dtype of the input."""

    values: Tensor
    log_slopes: Tensor


class ScalarMap(ABC):
    """x_i = f(z_i; p_i), increasing in z_i, with parameters p_i of shape (batch, parameter, site) or (1, ...).

    p = 0 is near the identity.  What the map does with raw parameters of any size stays invertible.
    """

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Numbers p for each variable."""

    @property
    @abstractmethod
    def parity(self) -> Parity:
        """R with f(-z; R p) = -f(z; p): parameters with p(-y) = R p(y) make a map odd in z and y together."""

    @abstractmethod
    def forward(self, z: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """f(z; p), latent to data, and ln f'(z)."""

    @abstractmethod
    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """Z with f(z; p) = x, and ln dz/dx."""
