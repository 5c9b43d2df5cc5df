"""Where chains on continuous spaces start when nothing is known: random, but nowhere that the energy is steep."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import ContinuousSpace, Particles
from zoo.core.targets import ContinuousTarget
from zoo.specs.errors import InvalidValueError
from zoo.specs.spaces import SpaceKind


@runtime_checkable
class HasLattice(Protocol):
    """A target in a periodic box that knows the sites of its crystal."""

    def lattice(self) -> Float64[Tensor, "particle axis"]:
        """The sites; raises ``InvalidValueError`` where the box holds no perfect crystal."""


DESCENT_STEPS = 200
"""Most steps of the descent from random positions."""

_LARGEST_MOVE = 0.1  # of a coordinate in a step of the descent, in units of the mean distance of particles
_HALVINGS = 60


def random_start(target: ContinuousTarget, num_chains: int, rng: RandomStream) -> Float64[Tensor, "chain *event"]:
    """One independent configuration for each chain, where the energy is finite and not steep.

    Targets that know a crystal: that crystal, moved by a random vector, its sites given to the particles at random,
    since no chain finds it by itself and none exchanges particles.  Angles and unit vectors: uniform.  Reals and phase
    space: standard normals, halved until the energy is finite.  Particles: uniform in the box, or normal with about one
    particle in a unit of volume.  These then move downhill in 200 steps of at most a tenth of the mean distance of
    particles, or of 1: in the wall of a quartic well, or with two particles on top of each other, no step size that
    suits the other chains would ever be accepted.
    """
    sites = perfect_crystal(target)
    if sites is not None:
        return target.space.canonical(_relabelled(sites, num_chains, rng) + _moved(target.space, num_chains, rng))
    x = _DRAWS[target.space.spec.kind](target.space, num_chains, rng)
    if target.space.spec.kind in {"torus", "spheres"}:
        return x
    x = _shrunk_to_finite(target, target.space.canonical(x))
    return descended(target, x, _LARGEST_MOVE * _spacing(target.space))


def perfect_crystal(target: ContinuousTarget) -> Float64[Tensor, "particle axis"] | None:
    """The sites of the crystal of ``target``, where its box holds one."""
    if not isinstance(target, HasLattice) or target.space.spec.box is None:
        return None
    try:
        return target.lattice()
    except InvalidValueError:
        return None


def descended(
    target: ContinuousTarget, x: Float64[Tensor, "chain *event"], largest_move: float
) -> Float64[Tensor, "chain *event"]:
    """``x`` after steepest descent: no coordinate moves farther than ``largest_move`` a step, no energy rises."""
    energy = target.energy(x)
    move = torch.full_like(energy, largest_move)
    per_row = (-1, *([1] * (x.ndim - 1)))
    for _ in range(DESCENT_STEPS):
        force = target.space.tangent(target.force(x).nan_to_num(), x)
        largest = force.abs().flatten(1).amax(1).clamp(min=torch.finfo(torch.float64).tiny)
        trial = target.space.canonical(x + force * (move / largest).reshape(per_row))
        after = target.energy(trial)
        lower = (after < energy) | (after.isfinite() & ~energy.isfinite())
        x = torch.where(lower.reshape(per_row), trial, x)
        energy = torch.where(lower, after, energy)
        move = torch.where(lower, (1.2 * move).clamp(max=largest_move), 0.5 * move)
    return x


def _relabelled(
    sites: Float64[Tensor, "particle axis"], num_chains: int, rng: RandomStream
) -> Float64[Tensor, "chain particle axis"]:
    """The sites in an order of its own for each chain."""
    return sites[rng.spawn(0).uniforms(num_chains, len(sites)).argsort(dim=1, stable=True)]


def _moved(space: ContinuousSpace, num_chains: int, rng: RandomStream) -> Float64[Tensor, "chain 1 axis"]:
    """A vector of the box for each chain."""
    uniform = rng.spawn(1).uniforms(num_chains, space.event_shape[1]).to(torch.float64)
    return (uniform * torch.tensor(space.spec.box, dtype=torch.float64))[:, None]


def _normal(space: ContinuousSpace, num_chains: int, rng: RandomStream) -> Float64[Tensor, "chain *event"]:
    return rng.normals(num_chains, space.num_sites).reshape(num_chains, *space.event_shape)


def _uniform_angles(space: ContinuousSpace, num_chains: int, rng: RandomStream) -> Float64[Tensor, "chain *event"]:
    uniform = rng.uniforms(num_chains, space.num_sites).to(torch.float64)
    return space.canonical(((2 * uniform - 1) * torch.pi).reshape(num_chains, *space.event_shape))


def _uniform_vectors(space: ContinuousSpace, num_chains: int, rng: RandomStream) -> Float64[Tensor, "chain *event"]:
    return space.canonical(_normal(space, num_chains, rng).to(torch.float64))


def _placed(space: ContinuousSpace, num_chains: int, rng: RandomStream) -> Float64[Tensor, "chain *event"]:
    """Particles, uniform in the box or normal with the spread of n^(1/d) mean distances."""
    if space.spec.box is None:
        return _normal(space, num_chains, rng) * float(space.event_shape[0] ** (1 / space.event_shape[1]))
    uniform = rng.uniforms(num_chains, space.num_sites).to(torch.float64).reshape(num_chains, *space.event_shape)
    return (uniform - 0.5) * torch.tensor(space.spec.box, dtype=torch.float64)


def _spacing(space: ContinuousSpace) -> float:
    """(V / n)^(1/d) in a box, 1 elsewhere."""
    if not isinstance(space, Particles) or space.box is None:
        return 1.0
    return float((space.box.prod() / space.num_particles) ** (1 / space.dimension))


def _shrunk_to_finite(target: ContinuousTarget, x: Float64[Tensor, "chain *event"]) -> Float64[Tensor, "chain *event"]:
    for _ in range(_HALVINGS):
        finite = target.energy(x).isfinite()
        if bool(finite.all()):
            break
        x = torch.where(finite.reshape(-1, *([1] * (x.ndim - 1))), x, 0.5 * x)
    return x


_DRAWS: dict[SpaceKind, Callable[[ContinuousSpace, int, RandomStream], Float64[Tensor, "chain *event"]]] = {
    "reals": _normal,
    "phase_space": _normal,
    "torus": _uniform_angles,
    "spheres": _uniform_vectors,
    "particles": _placed,
}
