"""Metropolis sampling of Ising lattices, many chains at once, one colour of the lattice at a time.

Metropolis et al., J. Chem. Phys. 21, 1087 (1953).  Sites of one colour have no bond between them, so they are updated
together.  Site i with local field g_i = J sum_{j ~ i} s_j + h is flipped with probability

    a min(1, exp(-beta dE_i)),      dE_i = 2 s_i g_i,      a = 7/8.

Each update obeys detailed balance with p(s) = exp(-beta E(s)) / Z for any a in (0, 1].  With a = 1 flips that cost
nothing would be certain, and a sweep at beta = 0 would be the flip of the whole lattice, for ever; a < 1 mixes always.
"""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float, Float64, Int, Int8, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.specs.errors import InvalidValueError
from zoo.specs.targets.ising import IsingSpec
from zoo.targets.ising import Ising

PROPOSAL_PROBABILITY = 0.875
"""a: the chance that a flip is proposed; 7/8 is exact in binary."""

Start = Literal["ordered", "disordered"]


@dataclass(frozen=True)
class RunPlan:
    """Length of a run: ``burn_in`` sweeps discarded, then ``num_draws`` configurations kept, ``thin`` sweeps apart."""

    num_draws: int
    burn_in: int = 0
    thin: int = 1
    start: Start = "disordered"

    def __post_init__(self) -> None:
        if self.num_draws < 1 or self.burn_in < 0 or self.thin < 1:
            msg = f"{self} cannot be run; num_draws and thin are at least 1, burn_in at least 0"
            raise InvalidValueError(msg)


@dataclass(frozen=True)
class ChainState:
    """Where the chains are after ``sweeps`` sweeps.

    ``spins`` are float32 -1/+1, shape (site, chain), with the sites in the sampler's order: colour after colour.
    """

    spins: Float[Tensor, "site chain"]
    sweeps: int


@dataclass(frozen=True)
class SweepInfo:
    """How one sweep went: the fraction of sites flipped, for each chain."""

    acceptance: Float[Tensor, " chain"]


@dataclass(frozen=True)
class ChainSamples:
    """Kept configurations, shape (chain, draw, *shape), and their energies in the target's unit."""

    spins: Int8[Tensor, "chain draw *event"]
    energies: Float64[Tensor, "chain draw"]


@final
class Metropolis:
    """Markov chains with the stationary distribution exp(-beta E) / Z of one Ising model."""

    def __init__(self, spec: IsingSpec, beta: float) -> None:
        self.spec = spec
        self.beta = beta
        self.target = Ising(spec)
        colour = colours(spec)
        self._order = colour.argsort(stable=True)  # the lattice's index of each of our sites
        self._position = self._order.argsort()  # our index of each of the lattice's sites
        outside = spec.space.num_sites
        position = torch.cat([self._position, torch.tensor([outside])])
        self._neighbours = list(position[neighbours(spec)[self._order]].T.contiguous())
        ends = colour.bincount().cumsum(0).tolist()
        self.sublattices = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def init(self, num_chains: int, rng: RandomStream, start: Start = "disordered") -> ChainState:
        """Chains that start from independent random configurations, or alternately from all up and all down."""
        sites = self.target.space.num_sites
        if start == "ordered":
            row = 1.0 - 2.0 * (torch.arange(num_chains) % 2)
            return ChainState(row.repeat(sites, 1), sweeps=0)
        return ChainState(2.0 * (rng.uniforms(sites, num_chains) < 0.5) - 1, sweeps=0)

    def state_at(self, configurations: Num[Tensor, "chain *event"]) -> ChainState:
        """Chains that start from given ``configurations``."""
        return ChainState(configurations.flatten(1).T[self._order].to(torch.float32), sweeps=0)

    def step(self, state: ChainState, rng: RandomStream) -> tuple[ChainState, SweepInfo]:
        """One sweep: every site proposed once, colour by colour.

        Sweep t takes its numbers from the range t + 1 of ``rng``, so the same stream serves all steps of a run.
        """
        sites, chains = state.spins.shape
        uniforms = rng.at(rng.first + (state.sweeps + 1) * sites).uniforms(sites, chains)
        spins = state.spins.clone()
        for sublattice in self.sublattices:
            flips = uniforms[sublattice] < self.acceptance(spins, sublattice)
            spins[sublattice] *= 1 - 2 * flips.to(torch.float32)
        acceptance = (spins != state.spins).mean(0, dtype=torch.float32)
        return ChainState(spins, state.sweeps + 1), SweepInfo(acceptance)

    def acceptance(self, spins: Float[Tensor, "site chain"], sublattice: slice) -> Float[Tensor, "some chain"]:
        """Probability that each site of ``sublattice`` is flipped, while the other sublattices stand still."""
        padded = torch.cat([spins, torch.zeros(1, spins.shape[1])])
        total = padded.index_select(0, self._neighbours[0][sublattice])
        for neighbour in self._neighbours[1:]:
            total += padded.index_select(0, neighbour[sublattice])
        cost = spins[sublattice] * (total * (2 * self.beta * self.spec.J) + 2 * self.beta * self.spec.h)
        return torch.exp(-cost).clamp_(max=1).mul_(PROPOSAL_PROBABILITY)

    def run(self, num_chains: int, plan: RunPlan, rng: RandomStream) -> ChainSamples:
        """The draws of ``num_chains`` chains from a fresh start."""
        state = self.init(num_chains, rng, plan.start)
        for _ in range(plan.burn_in):
            state, _ = self.step(state, rng)
        draws, energies = [], []
        for _ in range(plan.num_draws):
            for _ in range(plan.thin):
                state, _ = self.step(state, rng)
            configurations = self.configurations(state)
            draws.append(configurations)
            energies.append(self.target.energy(configurations))
        return ChainSamples(torch.stack(draws, 1), torch.stack(energies, 1))

    def configurations(self, state: ChainState) -> Int8[Tensor, "chain *event"]:
        """Where the chains are, as int8 configurations of the target's space."""
        return state.spins[self._position].to(torch.int8).T.reshape(-1, *self.spec.shape)


def neighbours(spec: IsingSpec) -> Int[Tensor, "site neighbour"]:
    """The sites joined to each site, once for each bond; N stands for the missing neighbour at an open face."""
    sites = spec.space.num_sites
    index = torch.arange(sites).reshape(spec.shape)
    columns = []
    for axis, side in enumerate(spec.shape):
        for shift, face in ((1, 0), (-1, side - 1)) if side > 1 else ():
            column = index.roll(shift, axis)
            if not spec.periodic:
                column.select(axis, face).fill_(sites)
            columns.append(column.flatten())
    return torch.stack(columns, 1) if columns else torch.full((sites, 1), sites)


def colours(spec: IsingSpec) -> Int[Tensor, " site"]:
    """A colour for each site, different for neighbours: two, or three where a periodic length is odd.

    Along an axis the colours are 0 1 0 1 .., and an odd periodic one ends with 2.  Their sum over axes, modulo the
    number of colours, changes from any site to its neighbour, because one term changes by 1 or 2.
    """
    odd = [spec.periodic and side % 2 == 1 and side > 1 for side in spec.shape]
    total = torch.zeros(spec.shape, dtype=torch.int64)
    for axis, side in enumerate(spec.shape):
        along = torch.arange(side) % 2
        if odd[axis]:
            along[-1] = 2
        total += along.reshape([-1 if a == axis else 1 for a in range(len(spec.shape))])
    return (total % (3 if any(odd) else 2)).flatten()
