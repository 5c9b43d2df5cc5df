"""What a physical system is to the rest of the zoo: a target, and a target at a temperature."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from jaxtyping import Float, Num
from torch import Tensor

from zoo.core.spaces import Space
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry


class Target(ABC):
    """A system with an energy: one scalar for each configuration, at any temperature."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """The space of the system's configurations."""

    @property
    @abstractmethod
    def symmetries(self) -> frozenset[Symmetry]:
        """The symmetries of the energy."""

    @abstractmethod
    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(x) in float64, shape (batch,), in the target's stated unit."""

    @abstractmethod
    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """Quantities a physicist would plot, one float64 scalar for each configuration."""


class HasExactFreeEnergy(ABC):
    """A system that knows its own answer, for some of its parameters."""

    @abstractmethod
    def exact_reference(self, beta: float) -> ExactReference:
        """Exact beta_f = -ln Z at ``beta`` with method and citation.

        Raises:
            NoExactReferenceError: no exact solution for these parameters.
        """

    @final
    def exact_beta_f(self, beta: float) -> float:
        """Exact -ln Z at ``beta``; raises as ``exact_reference`` does."""
        return self.exact_reference(beta).beta_f


@final
@dataclass(frozen=True)
class ThermodynamicState:
    """A target at inverse temperature beta: p(x) = exp(-beta E(x)) / Z."""

    target: Target
    beta: float

    def reduced_energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Beta E(x), float64, shape (batch,)."""
        return self.beta * self.target.energy(x)

    def unnormalized_log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """-beta E(x) = ln p(x) + ln Z, float64, shape (batch,)."""
        return -self.reduced_energy(x)
