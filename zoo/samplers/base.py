"""What every Markov chain here is: chains side by side on one target, a step at a time, all randomness an argument."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.specs.errors import InvalidValueError

StateT = TypeVar("StateT")

Beta = float | Float64[Tensor, " chain"]
"""One inverse temperature for all chains, or one for each: then chains are laid out in rows of a known number."""

PORTION = 64
"""Steps of a burn-in that are made at once."""

_START, _WARM_UP = 2**63 - 1, 2**63 - 2  # the parts of a stream below are those of steps


def nothing() -> None:
    """Nothing: the pause of a run that nobody ends."""


@dataclass(frozen=True)
class RunPlan:
    """Length of a run: ``burn_in`` steps discarded, then ``num_draws`` configurations kept, ``thin`` steps apart."""

    num_draws: int
    burn_in: int = 0
    thin: int = 1

    def __post_init__(self) -> None:
        if self.num_draws < 1 or self.burn_in < 0 or self.thin < 1:
            msg = f"{self} cannot be run; num_draws and thin are at least 1, burn_in at least 0"
            raise InvalidValueError(msg)


@dataclass(frozen=True)
class StepInfo:
    """How one step went: the fraction of proposals accepted, or of sites changed, for each chain."""

    acceptance: Float[Tensor, " chain"]


@dataclass(frozen=True)
class Draw:
    """One kept configuration of each chain, with its energy in the target's unit."""

    configurations: Num[Tensor, "chain *event"]
    energies: Float64[Tensor, " chain"]


@dataclass(frozen=True)
class ChainSamples:
    """Kept configurations, shape (chain, draw, *event_shape), and their energies in the target's unit."""

    configurations: Num[Tensor, "chain draw *event"]
    energies: Float64[Tensor, "chain draw"]


class Chains(ABC, Generic[StateT]):
    """Markov chains with the stationary distribution exp(-beta E) / Z of one target; chain c has its own beta_c.

    Step t = 0, 1, .. after the burn-in takes its random numbers from ``rng.spawn(t)``, start and burn-in from streams
    of their own: a run is a pure function of (target, beta, number of chains, plan, rng).
    """

    def __init__(self, target: Target, beta: Beta) -> None:
        self.target = target
        self.beta = beta

    @abstractmethod
    def init(self, num_chains: int, rng: RandomStream) -> StateT:
        """Chains at independent random starting points, far from equilibrium where nothing better is known."""

    @abstractmethod
    def state_at(self, configurations: Num[Tensor, "chain *event"]) -> StateT:
        """Chains that start from given ``configurations``."""

    @abstractmethod
    def step(self, state: StateT, rng: RandomStream) -> tuple[StateT, StepInfo]:
        """One step of every chain with the numbers of ``rng``; ``state`` is left as it was."""

    @abstractmethod
    def warm_up(self, state: StateT, num_steps: int, rng: RandomStream) -> StateT:
        """``num_steps`` steps whose configurations are not kept; chains that adapt do so here, and no longer after.

        A second call continues where the first one ended, with numbers of its own ``rng``.
        """

    @abstractmethod
    def configurations(self, state: StateT) -> Num[Tensor, "chain *event"]:
        """Where the chains are, as configurations of the target's space."""

    @final
    def draws(
        self, num_chains: int, plan: RunPlan, rng: RandomStream, pause: Callable[[], None] = nothing
    ) -> Iterator[Draw]:
        """The kept configurations of a run, one draw of all chains at a time, oldest first.

        ``pause`` is called between any two steps, and every PORTION steps of the burn-in: it may raise to end the run.
        """
        state = self.init(num_chains, rng.spawn(_START))
        for begun in range(0, plan.burn_in, PORTION):
            state = self.warm_up(state, min(PORTION, plan.burn_in - begun), rng.spawn(_WARM_UP).spawn(begun))
            pause()
        for draw in range(plan.num_draws):
            for time in range(draw * plan.thin, (draw + 1) * plan.thin):
                state, _ = self.step(state, rng.spawn(time))
                pause()
            configurations = self.configurations(state)
            yield Draw(configurations, self.target.energy(configurations))

    @final
    def run(self, num_chains: int, plan: RunPlan, rng: RandomStream) -> ChainSamples:
        """All draws of a run at once."""
        drawn = list(self.draws(num_chains, plan, rng))
        return ChainSamples(
            torch.stack([draw.configurations for draw in drawn], 1), torch.stack([draw.energies for draw in drawn], 1)
        )


class Adapting(ABC, Generic[StateT]):
    """Chains that have learned something in ``warm_up``: a step size for each of them."""

    @abstractmethod
    def moved_to(self, state: StateT, configurations: Num[Tensor, "chain *event"]) -> StateT:
        """The chains of ``state`` with what they have learned, chain c at row c of ``configurations``."""


def moved_to(chains: Chains[StateT], state: StateT, configurations: Num[Tensor, "chain *event"]) -> StateT:
    """``state`` with its chains at other ``configurations``: chains exchange places, their temperatures stay."""
    if isinstance(chains, Adapting):
        moved: StateT = chains.moved_to(state, configurations)
        return moved
    return chains.state_at(configurations)


def repeated(chains: Chains[StateT], state: StateT, num_steps: int, rng: RandomStream) -> StateT:
    """``state`` after steps 0 .. num_steps - 1 of a run: the ``warm_up`` of chains that have nothing to adapt."""
    for time in range(num_steps):
        state, _ = chains.step(state, rng.spawn(time))
    return state
