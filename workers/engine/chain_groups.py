"""Groups of Markov chains that walk on, block by block, with a warm model's help."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float64, Num
from torch import Tensor

from workers.engine.models import WarmModel
from zoo.core.models import Weighable, density_of
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.core.tiles import largest_tile
from zoo.samplers.independence_metropolis import IndependenceMetropolis, last_of
from zoo.samplers.latent_hmc import LatentHmc
from zoo.specs.corrections import CHAIN_RULES, LATENT_HMC, ChainPlan, Correction, chain_plan

_BLOCK_NANOSECONDS = 5e7  # of a block of trajectories: a moment, in which others wait


@dataclass(frozen=True)
class ChainQuestion:
    """Which chains are asked for: proposals or a flow of ``model``, and the stationary distribution ``state``."""

    warm: WarmModel
    model: Weighable
    state: ThermodynamicState
    correction: Correction
    num_samples: int

    @property
    def plan(self) -> ChainPlan:
        """How many chains there are, and how long they are."""
        return chain_plan(CHAIN_RULES[self.correction], self.num_samples)


@dataclass(frozen=True)
class Block:
    """Where all chains of a group were after each of some steps; ``log_probs`` where they are known already."""

    configurations: Num[Tensor, "step chain *event"]
    energies: Float64[Tensor, "step chain"]
    acceptance: float
    """The mean over the steps and the chains."""
    log_probs: Float64[Tensor, "step chain"] | None = None


class ChainGroup(ABC):
    """Some chains that walk side by side."""

    @property
    @abstractmethod
    def steps_of_a_block(self) -> int:
        """How many steps are made at once: a pure function of the model's spec."""

    @property
    @abstractmethod
    def about(self) -> Mapping[str, float]:
        """What is to be said about the steps of these chains."""

    @abstractmethod
    def warm_up(self, num_steps: int, rng: RandomStream) -> None:
        """Steps that are not kept."""

    @abstractmethod
    def walk(self, num_steps: int, rng: RandomStream) -> Block:
        """Steps that may be kept."""


@final
class ProposingGroup(ChainGroup):
    """Independence Metropolis: a block is one batch of proposals, as large as the largest tile of the model."""

    def __init__(self, asked: ChainQuestion, rng: RandomStream) -> None:
        chains = asked.plan.chains
        self._chains = IndependenceMetropolis(asked.model, asked.state.target, asked.state.beta)
        self._state = self._chains.init(chains, rng)
        self._steps = max(1, largest_tile(asked.warm.nanoseconds) // chains)

    @property
    def steps_of_a_block(self) -> int:
        """As many as fill a tile."""
        return self._steps

    @property
    def about(self) -> Mapping[str, float]:
        """Nothing."""
        return {}

    def warm_up(self, num_steps: int, rng: RandomStream) -> None:
        """One batch of proposals."""
        self._state = last_of(self._chains.walk(self._state, num_steps, rng))

    def walk(self, num_steps: int, rng: RandomStream) -> Block:
        """One batch of proposals."""
        walk = self._chains.walk(self._state, num_steps, rng)
        self._state = last_of(walk)
        visited = walk.visited
        return Block(visited.configurations, visited.energies, float(walk.accepted.double().mean()), visited.log_probs)


@final
class MovingGroup(ChainGroup):
    """Trajectories in the latent space of a flow."""

    def __init__(self, asked: ChainQuestion, rng: RandomStream) -> None:
        chains, rule = asked.plan.chains, CHAIN_RULES[asked.correction]
        self._chains = LatentHmc(LATENT_HMC, density_of(asked.model), asked.state)
        self._state = self._chains.init(chains, rng)
        self._steps = max(1, int(_BLOCK_NANOSECONDS // (asked.warm.nanoseconds * chains * rule.rows_per_step)))

    @property
    def steps_of_a_block(self) -> int:
        """As many as take a moment."""
        return self._steps

    @property
    def about(self) -> Mapping[str, float]:
        """The step size that they have, in units of the latent variables, and the mean number of steps."""
        return {"step_size": self._chains.step_size(self._state), "num_leapfrog": LATENT_HMC.num_leapfrog}

    def warm_up(self, num_steps: int, rng: RandomStream) -> None:
        """Trajectories during which the step size is adapted."""
        self._state = self._chains.warm_up(self._state, num_steps, rng)

    def walk(self, num_steps: int, rng: RandomStream) -> Block:
        """Trajectories."""
        configurations, energies, accepted = [], [], []
        for time in range(num_steps):
            self._state, info = self._chains.step(self._state, rng.spawn(time))
            configurations.append(self._chains.configurations(self._state))
            energies.append(self._chains.target.energy(configurations[-1]))
            accepted.append(float(info.acceptance.double().mean()))
        return Block(torch.stack(configurations), torch.stack(energies), float(np.mean(accepted)))


GROUPS: dict[Correction, Callable[[ChainQuestion, RandomStream], ChainGroup]] = {
    "metropolis": ProposingGroup,
    "latent_hmc": MovingGroup,
}
