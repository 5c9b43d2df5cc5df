"""Steps of Markov chains inside a model: what they do to a sample, and what they change of its path's weight."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.targets import States

_NOISE, _ACCEPTANCE = range(2)  # parts of a step's stream


@final
@dataclass(frozen=True)
class Potential:
    """U = (1 - s) u_0 + s beta E between a normal base density, u_0 = k |x|^2 / 2, and a target; x are flat vectors."""

    stiffness: Float64[Tensor, ""]
    """k = 1 / width^2."""
    state: States
    share: float
    event_shape: tuple[int, ...]

    def energy(self, x: Float[Tensor, "batch site"]) -> Float64[Tensor, " batch"]:
        """U(x), differentiable in x and the stiffness."""
        there = self.share * self.state.reduced_energy(x.view(-1, *self.event_shape))
        if self.share == 1:
            return there
        return there + (1 - self.share) * self.stiffness * x.square().sum(1, dtype=torch.float64) / 2

    def force(self, x: Float[Tensor, "batch site"]) -> Float[Tensor, "batch site"]:
        """-grad U(x) in the dtype of x; differentiable where gradients are taken."""
        differentiable = torch.is_grad_enabled()
        with torch.inference_mode(mode=False), torch.enable_grad():
            position = x if differentiable and x.requires_grad else x.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.energy(position).sum(), position, create_graph=differentiable)
        return -gradient


class MarkovStep(ABC):
    """One step x -> x' of a chain with transition density K(x'|x) for each row of a batch."""

    @abstractmethod
    def __call__(
        self, x: Float[Tensor, "batch site"], potential: Potential, size: Float[Tensor, ""], rng: RandomStream
    ) -> tuple[Float[Tensor, "batch site"], Float64[Tensor, " batch"]]:
        """X' and ln K(x'|x) - ln K(x|x')."""


@final
class MetropolisStep(MarkovStep):
    """x' = x + e n with normal n, kept with min(1, exp(u(x) - u(x'))), else x.

    Detailed balance makes ln K(x'|x) - ln K(x|x') = u(x) - u(x'), as for all chains whose stationary density is
    exp(-u).  Gradients end at x': they are those of u(x), by which what came before learns to have the density exp(-u).
    """

    def __call__(
        self, x: Float[Tensor, "batch site"], potential: Potential, size: Float[Tensor, ""], rng: RandomStream
    ) -> tuple[Float[Tensor, "batch site"], Float64[Tensor, " batch"]]:
        """One proposal for each row."""
        noise = rng.spawn(_NOISE).normals(len(x), x.shape[1], x.device).to(x.dtype)
        return _accepted(x, x + size * noise, potential, None, rng)


@final
@dataclass(frozen=True)
class HmcStep(MarkovStep):
    """A trajectory of leapfrog steps of length e with new momenta, accepted with min(1, exp(H - H')), else x.

    Source: Duane, Kennedy, Pendleton, Roweth, Phys. Lett. B 195, 216 (1987).
    """

    leapfrogs: int

    def __call__(
        self, x: Float[Tensor, "batch site"], potential: Potential, size: Float[Tensor, ""], rng: RandomStream
    ) -> tuple[Float[Tensor, "batch site"], Float64[Tensor, " batch"]]:
        """One trajectory for each row; gradients end there, as those of ``MetropolisStep``."""
        first = momenta = rng.spawn(_NOISE).normals(len(x), x.shape[1], x.device).to(x.dtype)
        moved = x
        momenta = momenta + size / 2 * potential.force(moved)
        for step in range(self.leapfrogs):
            moved = moved + size * momenta
            momenta = momenta + (size if step < self.leapfrogs - 1 else size / 2) * potential.force(moved)
        kinetic = (momenta.double().square() - first.double().square()).sum(1) / 2
        return _accepted(x, moved, potential, kinetic, rng)


@final
class LangevinStep(MarkovStep):
    """x' = x + e^2 / 2 F(x) + e n with the force F and normal n; every step is kept.

    n' = (x - x' - e^2 / 2 F(x')) / e is the noise of the way back, and ln K(x'|x) - ln K(x|x') = (n'^2 - n^2) / 2.
    Samples are a differentiable function of the noise, and gradients through them are unbiased.

    Source: Nilmeier, Crooks, Minh, Chodera, PNAS 108, E1009 (2011); Wu, Koehler, Noe, arXiv:2002.06707, eq. 11.
    """

    def __call__(
        self, x: Float[Tensor, "batch site"], potential: Potential, size: Float[Tensor, ""], rng: RandomStream
    ) -> tuple[Float[Tensor, "batch site"], Float64[Tensor, " batch"]]:
        """One step of each row."""
        noise = rng.spawn(_NOISE).normals(len(x), x.shape[1], x.device).to(x.dtype)
        moved = x + size.square() / 2 * potential.force(x) + size * noise
        back = (x - moved - size.square() / 2 * potential.force(moved)) / size
        return moved, (back.double().square() - noise.double().square()).sum(1) / 2


def _accepted(
    x: Float[Tensor, "batch site"],
    proposed: Float[Tensor, "batch site"],
    potential: Potential,
    kinetic: Float64[Tensor, " batch"] | None,
    rng: RandomStream,
) -> tuple[Float[Tensor, "batch site"], Float64[Tensor, " batch"]]:
    """Proposed rows where they are accepted, and u(x) - u(x'); what is no finite number is rejected."""
    before = potential.energy(x)
    with torch.no_grad():
        after = potential.energy(proposed)
        rise = after - before + (0.0 if kinetic is None else kinetic)
    uniforms = rng.spawn(_ACCEPTANCE).uniforms(len(x), 1, x.device)[:, 0].double()
    accepted = rise.isfinite() & (uniforms < torch.exp(-rise))
    change = before - torch.where(accepted, after, before.detach())
    return torch.where(accepted[:, None], proposed, x).detach(), change
