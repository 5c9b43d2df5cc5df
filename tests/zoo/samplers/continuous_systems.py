"""Small continuous systems whose averages and free energies are known from quadrature or in closed form."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi, sinh, tanh
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, Num
from scipy.special import ive
from torch import Tensor

from zoo.core.spaces import ContinuousSpace, Particles, PhaseSpace, Reals, Spheres, Torus
from zoo.core.targets import ContinuousTarget, negative_gradient
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Symmetry


@dataclass(frozen=True)
class Known:
    """What is known of a system at beta = 1: <E> and -ln Z."""

    energy: float
    beta_f: float


class System(ContinuousTarget):
    """A target from an energy alone, its force by differentiation."""

    def __init__(self, space: ContinuousSpace) -> None:
        self._space = space

    @property
    def space(self) -> ContinuousSpace:
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        return frozenset()

    @abstractmethod
    def known(self) -> Known:
        """Found without a chain."""

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        return negative_gradient(self.energy, x)

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        return {"energy": self.energy(x)}


@final
class Quartic(System):
    """sum_i x_i^4 / 4 + x_i^2 / 2 + x_i / 2 on n real coordinates."""

    def __init__(self, n: int) -> None:
        super().__init__(Reals(SpaceSpec(kind="reals", event_shape=(n,))))

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        return (x.to(torch.float64) ** 4 / 4 + x**2 / 2 + x / 2).flatten(1).sum(1)

    def known(self) -> Known:
        """By the trapezium rule, exact to rounding for a function that decays like this."""
        x = np.linspace(-8, 8, 4001)
        e = x**4 / 4 + x**2 / 2 + x / 2
        w = np.exp(-e)
        n = self.space.num_sites
        return Known(n * float((w * e).sum() / w.sum()), -n * log(float(w.sum()) * (x[1] - x[0])))


@final
class Oscillator(System):
    """2 q^2 + p^2 / 2 in phase space: <E> = 1, Z = pi."""

    def __init__(self) -> None:
        super().__init__(PhaseSpace(SpaceSpec(kind="phase_space", event_shape=(2,))))

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        x = x.to(torch.float64)
        return 2 * x[:, 0] ** 2 + x[:, 1] ** 2 / 2

    def known(self) -> Known:
        return Known(1.0, -log(pi))


@final
class Rotors(System):
    """-1.5 sum_i cos(theta_i): <E> = -1.5 n I_1(1.5) / I_0(1.5), Z = (2 pi I_0(1.5))^n."""

    def __init__(self, n: int) -> None:
        super().__init__(Torus(SpaceSpec(kind="torus", event_shape=(n,))))

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        return -1.5 * x.to(torch.float64).cos().flatten(1).sum(1)

    def known(self) -> Known:
        n = self.space.num_sites
        return Known(-1.5 * n * float(ive(1, 1.5) / ive(0, 1.5)), -n * (log(2 * pi * float(ive(0, 1.5))) + 1.5))


@final
class Compasses(System):
    """-1.5 sum_i s_i^3 of n unit vectors: <E> = -n (1.5 coth 1.5 - 1), Z = (4 pi sinh(1.5) / 1.5)^n."""

    def __init__(self, n: int) -> None:
        super().__init__(Spheres(SpaceSpec(kind="spheres", event_shape=(n, 3))))

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        return -1.5 * x.to(torch.float64)[..., 2].flatten(1).sum(1)

    def known(self) -> Known:
        n = self.space.event_shape[0]
        return Known(-n * (1.5 / tanh(1.5) - 1), -n * log(4 * pi * sinh(1.5) / 1.5))


@final
class Springs(System):
    """sum_{i<j} |x_i - x_j|^2 / 2 with the centre of mass at rest: n sum_i |x_i|^2 / 2 in (n - 1) d dimensions."""

    def __init__(self, n: int, d: int) -> None:
        super().__init__(Particles(SpaceSpec(kind="particles", event_shape=(n, d), centered=True)))

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        x = x.to(torch.float64)
        return 0.25 * (x[:, :, None] - x[:, None]).square().flatten(1).sum(1)

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        position = x.to(torch.float64)
        return x.shape[1] * (position.mean(1, keepdim=True) - position)

    def known(self) -> Known:
        n, d = self.space.event_shape
        dof = (n - 1) * d
        return Known(dof / 2, -dof / 2 * log(2 * pi / n))


@final
class Pair(System):
    """Two particles in a periodic box of side 3 and 2, with V(r) = sum_k cos(2 pi r_k / L_k)."""

    def __init__(self) -> None:
        self.box = (3.0, 2.0)
        super().__init__(Particles(SpaceSpec(kind="particles", event_shape=(2, 2), box=self.box)))

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        distance = x[:, 0].to(torch.float64) - x[:, 1]
        return (2 * pi * distance / torch.tensor(self.box, dtype=torch.float64)).cos().sum(1)

    def known(self) -> Known:
        """One particle anywhere, each component of the distance a rotor: Z = V (L_1 I_0(1)) (L_2 I_0(1))."""
        volume = self.box[0] * self.box[1]
        return Known(-2 * float(ive(1, 1) / ive(0, 1)), -2 * log(volume) - 2 * (log(float(ive(0, 1))) + 1))


@final
class Repulsion(System):
    """Two particles in a periodic square of side 2 with V = 0.01 / r^12 of the nearest image: singular."""

    side = 2.0
    strength = 0.01

    def __init__(self) -> None:
        super().__init__(Particles(SpaceSpec(kind="particles", event_shape=(2, 2), box=(self.side, self.side))))

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        distance = x[:, 0].to(torch.float64) - x[:, 1]
        nearest = distance - self.side * (distance / self.side).round()
        return self.strength / nearest.square().sum(1) ** 6

    def known(self) -> Known:
        """By the midpoint rule over the distance."""
        grid = (np.arange(2000) + 0.5) / 2000 * self.side - self.side / 2
        e = self.strength / (grid[:, None] ** 2 + grid**2) ** 6
        w = np.exp(-e)
        mean = float((w * np.where(w > 0, e, 0)).sum() / w.sum())
        return Known(mean, -log(self.side**2 * float(w.mean()) * self.side**2))


SYSTEMS: dict[str, Callable[[], System]] = {
    "reals": lambda: Quartic(2),
    "phase space": Oscillator,
    "torus": lambda: Rotors(3),
    "spheres": lambda: Compasses(2),
    "centred particles": lambda: Springs(3, 2),
    "box": Pair,
}
"""One small system in each space that trajectories run in."""
