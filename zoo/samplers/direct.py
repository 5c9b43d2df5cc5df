"""Chains of systems that can be drawn from directly: every step is an independent draw."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.targets import HasDirectSampling, Target
from zoo.samplers.base import Beta, Chains, StepInfo, repeated
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import DirectSpec


@dataclass(frozen=True)
class DirectState:
    """The last draws."""

    configurations: Num[Tensor, "chain *event"]


@final
class Direct(Chains[DirectState]):
    """Independent draws of exp(-beta E) / Z by the target's own method; nothing is ever refused."""

    def __init__(self, spec: DirectSpec, target: Target, beta: Beta) -> None:
        super().__init__(target, beta)
        self.spec = spec
        if not isinstance(target, HasDirectSampling):
            msg = f"{type(target).__name__} cannot be drawn from directly; use chains"
            raise InvalidValueError(msg)
        if isinstance(beta, Tensor) and len(torch.unique(beta)) != 1:
            msg = f"direct draws are made at one beta, and {len(torch.unique(beta))} different ones came"
            raise InvalidValueError(msg)
        self._source = target
        self._beta = float(beta.flatten()[0]) if isinstance(beta, Tensor) else beta

    def init(self, num_chains: int, rng: RandomStream) -> DirectState:
        """A first draw for each chain."""
        return DirectState(self._source.draw(num_chains, self._beta, rng))

    def state_at(self, configurations: Num[Tensor, "chain *event"]) -> DirectState:
        """Chains at given ``configurations``, which the next step forgets."""
        return DirectState(configurations)

    def step(self, state: DirectState, rng: RandomStream) -> tuple[DirectState, StepInfo]:
        """A new draw for each chain."""
        drawn = self._source.draw(len(state.configurations), self._beta, rng).to(state.configurations.device)
        return DirectState(drawn), StepInfo(torch.ones(len(drawn), device=drawn.device))

    def warm_up(self, state: DirectState, num_steps: int, rng: RandomStream) -> DirectState:
        """``num_steps`` draws."""
        return repeated(self, state, num_steps, rng)

    def configurations(self, state: DirectState) -> Num[Tensor, "chain *event"]:
        """The last draws."""
        return state.configurations
