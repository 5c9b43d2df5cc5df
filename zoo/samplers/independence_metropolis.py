"""Independence Metropolis: the samples of a model as proposals, accepted so that the chains have the target's law.

A proposal x' from q replaces x with probability

    min(1, w(x') / w(x)),      ln w(x) = -beta E(x) - ln q(x),

which leaves exp(-beta E) / Z invariant for any q that reaches all of it.  Of a model that reaches x by random ways a,
with l for ln q, chains of (x, a) have the stationary density exp(-beta E(x)) r(a|x) / Z, and so x has the target's.
Proposals know nothing of where a chain is, so those of many steps are drawn in one batch.  Chains converge as
(1 - Z / w_max)^t where w is bounded, and slower than any geometric rate where it is not; a mode that q never visits is
never found.

Source: Hastings, Biometrika 57, 97 (1970); Mengersen and Tweedie, Ann. Statist. 24, 101 (1996); with flows: Albergo,
Kanwar, Shanahan, Phys. Rev. D 100, 034515 (2019).
"""

from dataclasses import dataclass
from math import inf
from typing import final

import torch
from jaxtyping import Bool, Float, Float64, Num
from torch import Tensor

from zoo.core.models import Weighable, density_of
from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.samplers.base import Beta, Chains, StepInfo
from zoo.samplers.blocks import check_num_chains

_PROPOSALS, _ACCEPTANCE = range(2)  # parts of a walk's stream
_ROWS = 2048  # proposals of one batch of a burn-in


@dataclass(frozen=True)
class Weighed:
    """Configurations with their energies, ln q, and ln w = -beta E - ln q; -inf where that is no finite number."""

    configurations: Num[Tensor, "*row event"]
    energies: Float64[Tensor, "*row"]
    log_probs: Float64[Tensor, "*row"]
    log_weights: Float64[Tensor, "*row"]


@dataclass(frozen=True)
class Walk:
    """Some steps of all chains: where each chain was after each step, and which steps accepted their proposals."""

    visited: Weighed
    """Leading axes (step, chain)."""
    accepted: Bool[Tensor, "step chain"]


@final
class IndependenceMetropolis(Chains[Weighed]):
    """Markov chains whose proposals are independent samples of ``model``."""

    def __init__(self, model: Weighable, target: Target, beta: Beta) -> None:
        super().__init__(target, beta)
        self.model = model

    def init(self, num_chains: int, rng: RandomStream) -> Weighed:
        """Chains at independent samples of the model."""
        check_num_chains(self.beta, num_chains)
        return self._weighed(*self.model.sample_and_log_ratio(num_chains, rng))

    def state_at(self, configurations: Num[Tensor, "chain *event"]) -> Weighed:
        """Chains that start from given ``configurations``."""
        check_num_chains(self.beta, len(configurations))
        return self._weighed(configurations, density_of(self.model).log_prob(configurations))

    def step(self, state: Weighed, rng: RandomStream) -> tuple[Weighed, StepInfo]:
        """One proposal for each chain."""
        walk = self.walk(state, 1, rng)
        return last_of(walk), StepInfo(walk.accepted[0].to(torch.float32))

    def walk(self, state: Weighed, num_steps: int, rng: RandomStream) -> Walk:
        """``num_steps`` steps of every chain with the numbers of ``rng``, their proposals drawn in one batch."""
        chains = len(state.energies)
        rows, device = num_steps * chains, state.energies.device
        proposed = self._weighed(*self.model.sample_and_log_ratio(rows, rng.spawn(_PROPOSALS)))
        uniforms = rng.spawn(_ACCEPTANCE).uniforms(rows, 1, device).view(num_steps, chains)
        accepted = accepted_steps(state.log_weights, proposed.log_weights.view(num_steps, chains), uniforms)
        # row 0 is where the chains are, row t + 1 the proposals of step t: a chain is at the last one that it accepted
        step = torch.arange(1, num_steps + 1, device=device)[:, None]
        row = torch.where(accepted, step, 0).cummax(0).values
        chosen = row * chains + torch.arange(chains, device=device)
        visited = [
            torch.cat([before, after])[chosen] for before, after in zip(_arrays(state), _arrays(proposed), strict=True)
        ]
        return Walk(Weighed(*visited), accepted)

    def warm_up(self, state: Weighed, num_steps: int, rng: RandomStream) -> Weighed:
        """``num_steps`` steps; there is nothing to adapt."""
        portion = max(1, _ROWS // len(state.energies))
        for begun in range(0, num_steps, portion):
            state = last_of(self.walk(state, min(portion, num_steps - begun), rng.spawn(begun)))
        return state

    def configurations(self, state: Weighed) -> Num[Tensor, "chain *event"]:
        """Where the chains are."""
        return state.configurations

    def _weighed(self, x: Num[Tensor, "row *event"], log_prob: Float[Tensor, " row"]) -> Weighed:
        """Rows that are all chains, or all chains again and again."""
        energies, log_prob = self.target.energy(x), log_prob.to(torch.float64)
        beta = torch.as_tensor(self.beta, dtype=torch.float64, device=x.device).reshape(-1)
        beta = beta if len(beta) == 1 else beta.repeat(len(x) // len(beta))
        log_weights = -beta * energies - log_prob
        return Weighed(x, energies, log_prob, torch.where(log_weights.isfinite(), log_weights, -inf))


def last_of(walk: Walk) -> Weighed:
    """Where the chains are after the last step."""
    return Weighed(*(array[-1] for array in _arrays(walk.visited)))


def accepted_steps(
    current: Float64[Tensor, " chain"],
    proposed: Float64[Tensor, "step chain"],
    uniforms: Float[Tensor, "step chain"],
) -> Bool[Tensor, "step chain"]:
    """Which proposals of log-weights ``proposed`` are accepted, one after the other, from chains at ``current``."""
    accepted = []
    for offered, uniform in zip(proposed, uniforms, strict=True):
        accepted.append(uniform < acceptance_probability(current, offered))
        current = torch.where(accepted[-1], offered, current)
    return torch.stack(accepted)


def acceptance_probability(
    current: Float64[Tensor, " chain"], proposed: Float64[Tensor, " chain"]
) -> Float64[Tensor, " chain"]:
    """min(1, w' / w) from ln w and ln w'; 0 where w' is zero, and 1 where w alone is."""
    return torch.where(proposed == -inf, 0.0, (proposed - current).clamp(max=0).exp())


def _arrays(weighed: Weighed) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return weighed.configurations, weighed.energies, weighed.log_probs, weighed.log_weights
