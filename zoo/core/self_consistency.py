"""What is solved instead of trained: equations of a target whose fixed point is a model or an approximation."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.specs.estimate import Estimate


@final
@dataclass(frozen=True)
class Progress:
    """How far a solver is: ``iterations`` of at most ``max_iterations``, from all starts together."""

    iterations: int
    max_iterations: int
    residual: float
    """Largest change by the last iteration."""


@final
@dataclass(frozen=True)
class Solution:
    """A fixed point of the equations of one state, or the last iterate where there was no convergence."""

    beta: float
    beta_f: float
    """The approximation's -ln Z."""
    rounding: float
    """What rounding can have changed in ``beta_f``."""
    energy: float
    """<E> of the approximation, in the target's unit."""
    converged: bool
    is_tree: bool
    """Whether the coupled pairs form no loop."""
    iterations: int
    """From the start that was kept."""
    residual: float
    start: int
    """Which start was kept: 0 all up, 1 along a tree, 2 nearly even, then the random ones."""
    magnetizations: Float64[Tensor, " site"]
    """<s_i> of each spin."""
    values: Float64[Tensor, " number"]
    """The fixed point itself: fields or messages."""

    @property
    def start_name(self) -> str:
        """The start in words."""
        names = ("up", "tree", "even")
        return names[self.start] if self.start < len(names) else f"random {self.start - len(names) + 1}"

    def tensors(self) -> dict[str, Tensor]:
        """The solution by name, to be written down."""
        return {
            name: torch.tensor(value, dtype=torch.float64) if isinstance(value, float) else torch.as_tensor(value)
            for name, value in vars(self).items()
        }

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "Solution":
        """The solution that ``tensors`` wrote down."""
        fields: dict[str, Any] = {name: value if value.ndim else value.item() for name, value in tensors.items()}
        return cls(**fields)


Solving = Generator[Progress, None, Solution]
"""Yields progress every few milliseconds, where it may be given up, and returns the solution."""


class SelfConsistent(ABC):
    """Equations of a target, to be iterated to a fixed point."""

    @abstractmethod
    def solve(self, state: ThermodynamicState, rng: RandomStream) -> Solving:
        """The fixed point of lowest free energy among those that the starts lead to; ``rng`` draws the random starts.

        Raises:
            CapabilityMissingError: the target has no such equations.
        """

    @abstractmethod
    def weights(self, solution: Solution) -> dict[str, Tensor]:
        """What a version of ``solution`` consists of: the weights of the family's model, where it has one."""


class FreeEnergyApproximation(SelfConsistent):
    """Equations that give a free energy without a distribution to sample from or to evaluate."""

    @abstractmethod
    def estimate(self, solution: Solution) -> Estimate:
        """beta_f of ``solution`` with what is to be said about it."""


def solved(solving: Solving) -> Solution:
    """The solution, when all of it is waited for."""
    while True:
        try:
            next(solving)
        except StopIteration as end:
            solution: Solution = end.value
            return solution
