"""Hamiltonian Monte Carlo on real coordinates, angles, unit vectors and particles, many chains at once.

Duane, Kennedy, Pendleton, Roweth, Phys. Lett. B 195, 216 (1987).  With momenta p ~ exp(-p^2 / 2), drawn anew for each
trajectory, H = beta E(x) + p^2 / 2 and the force F = -grad E, L leapfrog steps of size e

    p <- p + e/2 beta F(x),      x <- x + e p,      p <- p + e/2 beta F(x)

are accepted with min(1, exp(-dH)).  The map is volume preserving and its own inverse under p -> -p, so detailed balance
with exp(-beta E) / Z holds for any e and L; what is not finite is rejected.  L is drawn uniformly from n - n//2 .. n +
n//2, one number for all chains of a step, so that no period of the motion is an exact multiple of the trajectory's
(Mackenzie, Phys. Lett. B 226, 369 (1989)).  One trajectory in eight of each chain, by chance, takes steps of e / 8:
where the energy is far steeper than it mostly is, as between touching particles, no longer step is ever accepted, and a
chain that got there would stay.  Momenta of particles with a fixed centre of mass have none of its motion.  Unit
vectors have momenta and forces along their spheres, and x <- x + e p is motion along great circles, which turns p as
well (Byrne, Girolami, Scand. J. Stat. 40, 825 (2013)).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import inf, pi
from typing import final

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import ContinuousSpace
from zoo.core.targets import ContinuousTarget, Target
from zoo.samplers.base import Adapting, Beta, Chains, StepInfo
from zoo.samplers.dual_averaging import DualAveraging, started, updated
from zoo.samplers.starts import random_start
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import HmcSpec

_MOMENTA, _LENGTH, _ACCEPTANCE, _CAUTION = range(4)  # parts of a step's stream
_CAUTIOUS = 1 / 8  # the share of trajectories with small steps, and their size


class RowTarget(ContinuousTarget, ABC):
    """A target whose energy differs from row to row: row c of every batch is at a state of its own, that of chain c."""

    @property
    @abstractmethod
    def row_groups(self) -> Int[Tensor, " chain"]:
        """The number of each row's state, 0, 1, ..: rows of one state have the same energy function."""


@dataclass(frozen=True)
class HmcState:
    """Where the chains are, with energies and forces there, and how far their step sizes are adapted."""

    positions: Float64[Tensor, "chain *event"]
    energies: Float64[Tensor, " chain"]
    forces: Float64[Tensor, "chain *event"]
    adaptation: DualAveraging


@dataclass(frozen=True)
class Point:
    """A point of phase space for each chain."""

    positions: Float64[Tensor, "chain *event"]
    momenta: Float64[Tensor, "chain *event"]
    forces: Float64[Tensor, "chain *event"]


@final
class Hmc(Chains[HmcState], Adapting[HmcState]):
    """Trajectories on one continuous target; chains at one beta share a step size, found in ``warm_up``."""

    def __init__(self, spec: HmcSpec, target: Target, beta: Beta) -> None:
        if not isinstance(target, ContinuousTarget):
            msg = f"sampler 'hmc' needs forces; {type(target).__name__} lives on {target.space.spec.kind}"
            raise InvalidValueError(msg)
        super().__init__(target, beta)
        self.spec = spec
        self._system = target
        self._group_of_row = _groups(target, beta)

    def init(self, num_chains: int, rng: RandomStream) -> HmcState:
        """Normal coordinates, uniform angles, or random particles that have rolled downhill; see ``random_start``."""
        self._require_rows(num_chains)
        return self.state_at(random_start(self._system, num_chains, rng))

    def state_at(self, configurations: Float[Tensor, "chain *event"]) -> HmcState:
        """Chains that start from given ``configurations``, their step size not yet adapted."""
        self._require_rows(len(configurations))
        groups = 1 if self._group_of_row is None else int(self._group_of_row.max()) + 1
        largest = _period(self._system.space)
        return self._at(configurations, started(self.spec.initial_step_size, groups, largest, configurations.device))

    def moved_to(self, state: HmcState, configurations: Float[Tensor, "chain *event"]) -> HmcState:
        """The chains at other ``configurations``, with their step sizes."""
        return self._at(configurations, state.adaptation)

    def step(self, state: HmcState, rng: RandomStream) -> tuple[HmcState, StepInfo]:
        """One trajectory of every chain."""
        after, accepted, _ = self._trajectory(state, state.adaptation.adapted, rng)
        return after, StepInfo(accepted.to(torch.float32))

    def warm_up(self, state: HmcState, num_steps: int, rng: RandomStream) -> HmcState:
        """``num_steps`` trajectories during which the step size of each group is adapted."""
        for time in range(num_steps):
            state, _, probability = self._trajectory(state, state.adaptation.exploring, rng.spawn(time))
            adaptation = updated(state.adaptation, self._group_means(probability), self.spec.target_acceptance)
            state = replace(state, adaptation=adaptation)
        return state

    def configurations(self, state: HmcState) -> Float64[Tensor, "chain *event"]:
        """Where the chains are."""
        return state.positions

    def _trajectory(
        self, state: HmcState, step_sizes: Float64[Tensor, " group"], rng: RandomStream
    ) -> tuple[HmcState, Bool[Tensor, " chain"], Float64[Tensor, " chain"]]:
        """The state after one trajectory, which chains accepted it, and with which probability."""
        x = state.positions
        rows, device = len(x), x.device
        normals = rng.spawn(_MOMENTA).normals(rows, self._system.space.num_sites, device).reshape(x.shape)
        momenta = self._system.space.tangent(normals, x)
        size = step_sizes if self._group_of_row is None else step_sizes[self._group_of_row.to(device)]
        cautious = rng.spawn(_CAUTION).uniforms(rows, 1, device)[:, 0] < _CAUTIOUS
        size = torch.where(cautious, _CAUTIOUS * size, size)
        end = self.leapfrog(Point(x, momenta, state.forces), size, self._num_leapfrog(rng.spawn(_LENGTH)))
        energies = self._system.energy(end.positions)
        rise = self._beta(energies) * (energies - state.energies) + _kinetic(end.momenta) - _kinetic(momenta)
        probability = acceptance_probability(rise)
        uniform = rng.spawn(_ACCEPTANCE).uniforms(rows, 1, device)[:, 0]
        accepted = uniform < probability
        chosen = _per_row(accepted, x)
        after = replace(
            state,
            positions=torch.where(chosen, end.positions, x),
            energies=torch.where(accepted, energies, state.energies),
            forces=torch.where(chosen, end.forces, state.forces),
        )
        return after, accepted, probability

    def leapfrog(self, start: Point, size: Float64[Tensor, " row"], num_steps: int) -> Point:
        """The point after ``num_steps`` leapfrog steps; inner half kicks are joined in pairs."""
        space = self._system.space
        e = _per_row(size, start.positions)
        kick = e * _per_row(self._beta(start.positions), start.positions)
        x, forces = start.positions, start.forces
        p = start.momenta + 0.5 * kick * forces
        for i in range(num_steps):
            x, p = space.moved(x, p, e)
            forces = space.tangent(self._system.force(x), x)
            p = p + (kick if i < num_steps - 1 else 0.5 * kick) * forces
        return Point(x, p, forces)

    def _num_leapfrog(self, rng: RandomStream) -> int:
        n = self.spec.num_leapfrog
        return n - n // 2 + int(float(rng.uniforms(1, 1)) * (2 * (n // 2) + 1))

    def _at(self, configurations: Float[Tensor, "chain *event"], adaptation: DualAveraging) -> HmcState:
        x = self._system.space.canonical(configurations.to(torch.float64))
        forces = self._system.space.tangent(self._system.force(x), x)
        return HmcState(x, self._system.energy(x), forces, adaptation)

    def _beta(self, like: Tensor) -> Float64[Tensor, "..."]:
        """Beta of each row, or one of shape (1,)."""
        return torch.as_tensor(self.beta, dtype=torch.float64, device=like.device).reshape(-1)

    def _group_means(self, values: Float64[Tensor, " chain"]) -> Float64[Tensor, " group"]:
        if self._group_of_row is None:
            return values.mean(0, keepdim=True)
        index = self._group_of_row.to(values.device)
        total = values.new_zeros(int(self._group_of_row.max()) + 1).index_add(0, index, values)
        return total / index.bincount()

    def _require_rows(self, num_chains: int) -> None:
        if self._group_of_row is not None and len(self._group_of_row) != num_chains:
            msg = f"{num_chains} chains came with {len(self._group_of_row)} states, one for each chain"
            raise InvalidValueError(msg)


def acceptance_probability(rise: Float64[Tensor, " chain"]) -> Float64[Tensor, " chain"]:
    """min(1, exp(-dH)) for a ``rise`` dH of the Hamiltonian; 0 where that is not finite."""
    return torch.where(rise.isfinite(), (-rise).clamp(max=0).exp(), 0.0)


def _groups(target: ContinuousTarget, beta: Beta) -> Int[Tensor, " chain"] | None:
    """Which chains share a step size: those of one state; None when all do."""
    if isinstance(target, RowTarget):
        return target.row_groups
    if not isinstance(beta, Tensor) or beta.numel() == 1:
        return None
    group: Int[Tensor, " chain"] = torch.unique(beta, return_inverse=True)[1]
    return group


def _period(space: ContinuousSpace) -> float:
    """The shortest period of a coordinate, or of a great circle."""
    if space.spec.kind in {"torus", "spheres"}:
        return 2 * pi
    return inf if space.spec.box is None else min(space.spec.box)


def _kinetic(momenta: Float64[Tensor, "chain *event"]) -> Float64[Tensor, " chain"]:
    return 0.5 * momenta.square().flatten(1).sum(1)


def _per_row(values: Tensor, like: Tensor) -> Tensor:
    """``values``, one for each row or one for all, shaped to multiply rows of ``like``."""
    return values.reshape(-1, *([1] * (like.ndim - 1)))
