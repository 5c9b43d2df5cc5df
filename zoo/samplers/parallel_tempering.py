"""Parallel tempering: replicas of each chain at several temperatures, which exchange their configurations.

Hukushima and Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996).  Replica k of a chain at inverse temperature beta has

    beta_k = beta f^(1 - k / (K - 1)),      k = 0 .. K - 1,

f being the hottest one's fraction; the last is the chain itself.  A step is one update of all replicas by Metropolis
(discrete values) or Hamiltonian Monte Carlo (coordinates), then an attempt to exchange the neighbours (0, 1), (2, 3),
.. and at the next step (1, 2), (3, 4), ..: accepted with min(1, exp((beta_i - beta_j) (E_i - E_j))).
"""

from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Bool, Float64, Int64, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.targets import ContinuousTarget, Target
from zoo.samplers.base import Beta, Chains, StepInfo, moved_to
from zoo.samplers.blocks import betas_of, check_num_chains
from zoo.samplers.hmc import Hmc
from zoo.samplers.metropolis import Metropolis
from zoo.samplers.words import word_source, words
from zoo.specs.samplers import HmcSpec, MetropolisSpec, ParallelTemperingSpec

_UPDATE, _EXCHANGE = 0, 1  # parts of a step's stream


@dataclass(frozen=True)
class TemperedState:
    """Replicas (k, c) in the order of k, then chain c; the chains that update them, where they are, steps made."""

    replicas: Chains[Any]
    state: Any
    num_steps: int = 0


@final
class ParallelTempering(Chains[TemperedState]):
    """Chains that visit other temperatures through their replicas; the configurations kept are those at ``beta``.

    With a beta for each chain every chain has a ladder of its own below it.  ``acceptance`` is that of the update of
    the chains at ``beta``, before the exchange.
    """

    def __init__(self, spec: ParallelTemperingSpec, target: Target, beta: Beta) -> None:
        super().__init__(target, beta)
        self.spec = spec
        steps = torch.linspace(1, 0, spec.num_temperatures, dtype=torch.float64)
        self.fractions = spec.min_beta_fraction**steps
        """beta_k / beta, hottest first; the last is 1."""

    def init(self, num_chains: int, rng: RandomStream) -> TemperedState:
        """Replicas that start independently of each other."""
        replicas = self._replicas(num_chains)
        return TemperedState(replicas, replicas.init(self.spec.num_temperatures * num_chains, rng))

    def state_at(self, configurations: Num[Tensor, "chain *event"]) -> TemperedState:
        """Chains whose replicas all start from the same one of ``configurations``."""
        replicas = self._replicas(len(configurations))
        return TemperedState(replicas, replicas.state_at(torch.cat([configurations] * self.spec.num_temperatures)))

    def step(self, state: TemperedState, rng: RandomStream) -> tuple[TemperedState, StepInfo]:
        """An update of all replicas, then an attempt to exchange every other pair of neighbours."""
        inner, info = state.replicas.step(state.state, rng.spawn(_UPDATE))
        num_chains = len(info.acceptance) // self.spec.num_temperatures
        return self._exchanged(replace(state, state=inner), rng), StepInfo(info.acceptance[-num_chains:])

    def warm_up(self, state: TemperedState, num_steps: int, rng: RandomStream) -> TemperedState:
        """``num_steps`` steps in which the replicas adapt to their temperatures, if they are of a kind that does."""
        for time in range(num_steps):
            part = rng.spawn(time)
            inner = state.replicas.warm_up(state.state, 1, part.spawn(_UPDATE))
            state = self._exchanged(replace(state, state=inner), part)
        return state

    def configurations(self, state: TemperedState) -> Num[Tensor, "chain *event"]:
        """Where the chains at ``beta`` are."""
        everywhere = state.replicas.configurations(state.state)
        return everywhere[-(len(everywhere) // self.spec.num_temperatures) :]

    def _replicas(self, num_chains: int) -> Chains[Any]:
        """The chains that update K replicas of each of ``num_chains`` chains."""
        check_num_chains(self.beta, num_chains)
        beta = torch.from_numpy(betas_of(self.beta)).expand(num_chains)
        betas = (self.fractions[:, None] * beta).flatten()
        if isinstance(self.target, ContinuousTarget):
            return Hmc(HmcSpec(), self.target, betas)
        return Metropolis(MetropolisSpec(), self.target, betas)

    def _exchanged(self, state: TemperedState, rng: RandomStream) -> TemperedState:
        """``state`` after an attempt to exchange the pairs (i, i + 1), with i even or odd in turn."""
        x = state.replicas.configurations(state.state)
        shape = (self.spec.num_temperatures, -1)
        betas = torch.as_tensor(state.replicas.beta, device=x.device).reshape(shape)
        energies = self.target.energy(x).reshape(shape)
        first = state.num_steps % 2
        accepted = _exchange_accepted(betas[first:], energies[first:], rng.spawn(_EXCHANGE))
        source = _sources(accepted, first, energies.shape[0])
        inner = moved_to(state.replicas, state.state, x[source.flatten()])
        return replace(state, state=inner, num_steps=state.num_steps + 1)


def _exchange_accepted(
    betas: Float64[Tensor, "level chain"], energies: Float64[Tensor, "level chain"], rng: RandomStream
) -> Bool[Tensor, "pair chain"]:
    """Whether levels (0, 1), (2, 3), .. exchange: with min(1, exp((beta_i - beta_j) (E_i - E_j)))."""
    pairs = len(betas) // 2
    hot, cold = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
    log_ratio = (betas[hot] - betas[cold]) * (energies[hot] - energies[cold])
    word = words(word_source(rng), *log_ratio.shape)
    uniform = (torch.from_numpy(word.astype("float64")).to(log_ratio.device) + 0.5) * 2.0**-32
    return uniform < log_ratio.clamp(max=0).exp()


def _sources(accepted: Bool[Tensor, "pair chain"], first: int, num_levels: int) -> Int64[Tensor, "level chain"]:
    """The row, level x chains + chain, that each replica's configuration comes from after the exchanges."""
    num_chains = accepted.shape[1]
    level = torch.arange(num_levels, device=accepted.device)[:, None].repeat(1, num_chains)
    last = first + 2 * len(accepted)
    level[first:last:2] += accepted.long()
    level[first + 1 : last : 2] -= accepted.long()
    return level * num_chains + torch.arange(num_chains, device=accepted.device)
