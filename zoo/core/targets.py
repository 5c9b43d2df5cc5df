"""What a physical system is to the rest of the zoo: a target, and a target at a temperature."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64, Int, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import ContinuousSpace, Space
from zoo.specs.errors import CapabilityMissingError
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


class ContinuousTarget(Target):
    """A target whose energy is differentiable: real coordinates, angles, particles."""

    @property
    @abstractmethod
    def space(self) -> ContinuousSpace:
        """The space of the system's configurations."""

    @abstractmethod
    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-grad E(x), float64, the shape of ``x``; by ``negative_gradient`` where no closed form is faster."""


def negative_gradient(
    energy: Callable[[Tensor], Tensor], x: Float[Tensor, "batch *event"]
) -> Float64[Tensor, "batch *event"]:
    """-grad E(x) of each configuration by reverse differentiation of ``energy``, also inside inference mode."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        position = x.detach().to(torch.float64, copy=True).requires_grad_()
        (gradient,) = torch.autograd.grad(energy(position).sum(), position)
    return -gradient


@dataclass(frozen=True)
class PairInteractions:
    """E(s) = -1/2 sum_i s_i sum_k J_ik s_n(i,k) - sum_i h_i s_i, with n(i,k) the k-th neighbour of spin i.

    A site with fewer neighbours than others points at site N, one past the last, with coupling 0.  A double bond is two
    neighbours.
    """

    neighbours: Int[Tensor, "site neighbour"]
    couplings: Float64[Tensor, "site neighbour"]
    fields: Float64[Tensor, " site"]


class PairwiseSpins(Target):
    """A target on spins whose energy is a sum over pairs and sites: what local updates and mean fields work on."""

    @property
    @abstractmethod
    def interactions(self) -> PairInteractions:
        """Couplings and fields, sites in the raster order of the event shape."""


class HasDirectSampling(ABC):
    """A target that can be drawn from without a chain, exactly."""

    @abstractmethod
    def draw(self, num_samples: int, beta: float, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """Independent draws of exp(-beta E) / Z, shape (num_samples, *event_shape); row i depends on rng and i alone.

        Raises:
            InvalidValueError: a beta at which it cannot be drawn from directly.
        """


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


class States(ABC):
    """Unnormalised distributions p_g(x) = exp(-u_g(x)) / Z_g, for ``groups`` equal parts of a batch in turn."""

    @property
    @abstractmethod
    def groups(self) -> int:
        """Number of distributions; the rows of a batch are divided into so many equal parts."""

    @abstractmethod
    def reduced_energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """u(x) = beta E(x) of each row under its own distribution, float64, shape (batch,)."""

    @abstractmethod
    def reduced_force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-grad u(x) of each row under its own distribution, float64, the shape of ``x``.

        Raises:
            CapabilityMissingError: a system whose variables are discrete.
        """

    @final
    def unnormalized_log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """-u(x) = ln p(x) + ln Z, float64, shape (batch,)."""
        return -self.reduced_energy(x)


@final
@dataclass(frozen=True)
class ThermodynamicState(States):
    """A target at inverse temperature beta: p(x) = exp(-beta E(x)) / Z."""

    target: Target
    beta: float

    @property
    def groups(self) -> int:
        """1."""
        return 1

    def reduced_energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Beta E(x), float64, shape (batch,)."""
        return self.beta * self.target.energy(x)

    def reduced_force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-beta grad E(x), float64, the shape of ``x``.

        Raises:
            CapabilityMissingError: the target's variables are discrete.
        """
        if not isinstance(self.target, ContinuousTarget):
            msg = f"forces were asked of a target on {self.target.space.spec.kind}; real variables have forces"
            raise CapabilityMissingError(msg)
        return self.beta * self.target.force(x)


@final
@dataclass(frozen=True)
class Ensemble(States):
    """Several states on one space: the first part of a batch belongs to the first, and so on."""

    states: tuple[ThermodynamicState, ...]

    @property
    def groups(self) -> int:
        """The number of states."""
        return len(self.states)

    def reduced_energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Beta_g E_g(x) of the rows of each part g, float64, shape (batch,).

        Raises:
            ValueError: the rows cannot be divided evenly.
        """
        if len(x) % self.groups:
            msg = f"{len(x)} configurations cannot be divided evenly among {self.groups} states"
            raise ValueError(msg)
        first = self.states[0].target
        if all(state.target is first for state in self.states):
            beta = torch.tensor([state.beta for state in self.states], dtype=torch.float64, device=x.device)
            return (first.energy(x).view(self.groups, -1) * beta[:, None]).flatten()
        parts = zip(self.states, x.chunk(self.groups), strict=True)
        return torch.cat([state.reduced_energy(part) for state, part in parts])

    def reduced_force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-beta_g grad E_g(x) of the rows of each part g; raises as ``reduced_energy`` and the states' own do."""
        if len(x) % self.groups:
            msg = f"{len(x)} configurations cannot be divided evenly among {self.groups} states"
            raise ValueError(msg)
        parts = zip(self.states, x.chunk(self.groups), strict=True)
        return torch.cat([state.reduced_force(part) for state, part in parts])
