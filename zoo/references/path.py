"""Paths from a system that is solved to the one that is asked about: what every conventional free energy walks along.

With u_1 = beta E the reduced energy of the target and u_0 that of a system whose Z_0 is known,

    u_l(x) = (1 - l) u_0(x) + l u_1(x) = u_0(x) + l s(x),      s = u_1 - u_0,      l from 0 to 1,

and d(-ln Z_l) / dl = <s>_l.  Whatever the estimator, free energies along the path need of a sample only its slope s.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

import torch
from jaxtyping import Float64, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import ContinuousSpace, DiscreteSpace, Space, Spheres
from zoo.core.targets import Target
from zoo.samplers.base import Beta, Chains

BuildChains = Callable[[Target, Beta], Chains[Any]]
"""Chains on a target at one beta or one for each chain."""


_HARDEST_CORE = {1: 12, 2: 12, 3: 8}
"""Exponent by dimension; in one, where no particle passes another's core, 12 as well, since 24 would waste states."""


class Path(ABC):
    """States between a solved system (l = 0) and exp(-beta E) / Z (l = 1).

    States are placed by a parameter t, l = t^``exponent``: 1 where s has moments at l = 0.  Where E diverges as r^-m
    for close particles in d dimensions, <s>_l grows as l^(d/m - 1) and <s^2>_l as l^(d/m - 2).  With l = t^(2 m / d)
    du/dt has a finite mean, proportional to t, and a finite variance: 8 in three dimensions and 12 in two suit m = 12,
    and all softer cores.
    """

    def __init__(self, target: Target, beta: float, exponent: int) -> None:
        self.target = target
        self.beta = beta
        self.exponent = exponent

    @property
    @abstractmethod
    def description(self) -> str:
        """The solved system in words."""

    @property
    @abstractmethod
    def log_z0(self) -> float:
        """Ln Z_0 of the solved system, in the base measure of the target's space."""

    @abstractmethod
    def slope(self, x: Num[Tensor, "chain *event"]) -> Float64[Tensor, " chain"]:
        """s(x) = u_1(x) - u_0(x)."""

    @abstractmethod
    def draw(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "sample *event"]:
        """Exact independent draws of exp(-u_0) / Z_0."""

    @abstractmethod
    def chains(self, lambdas: Float64[Tensor, " chain"], build: BuildChains) -> Chains[Any]:
        """Chains with the stationary distribution exp(-u_l) / Z_l, chain c at its own l_c."""

    @abstractmethod
    def start(self, chains: Chains[Any], num_chains: int, rng: RandomStream) -> Any:  # noqa: ANN401 - their own state
        """Where ``chains`` on this path begin."""


def core_exponent(space: Space) -> int:
    """The exponent for a space where nothing keeps particles apart at l = 0."""
    if space.spec.kind != "particles":
        return 1
    return _HARDEST_CORE[min(space.event_shape[-1], 3)]


@final
class TemperaturePath(Path):
    """u_0 = 0: the uniform distribution of a space of finite measure, so that l beta is an inverse temperature.

    ln Z_0 is the logarithm of the measure: N ln q for N variables of q values, N ln 2 pi for angles, N ln 4 pi for
    vectors of three components, n ln V for particles in a box of volume V (an ideal gas, over all labellings).
    """

    def __init__(self, target: Target, beta: float) -> None:
        super().__init__(target, beta, core_exponent(target.space))

    @property
    def description(self) -> str:
        """The distribution in words."""
        return "the uniform distribution: infinite temperature"

    @property
    def log_z0(self) -> float:
        """Ln of the total measure of the space."""
        return self.target.space.base_log_measure

    def slope(self, x: Num[Tensor, "chain *event"]) -> Float64[Tensor, " chain"]:
        """Beta E(x)."""
        return self.beta * self.target.energy(x)

    def draw(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "sample *event"]:
        """Uniform configurations."""
        return uniform_draws(self.target.space, num_samples, rng)

    def chains(self, lambdas: Float64[Tensor, " chain"], build: BuildChains) -> Chains[Any]:
        """Chains on the target itself at l_c beta."""
        return build(self.target, lambdas * self.beta)

    def start(self, chains: Chains[Any], num_chains: int, rng: RandomStream) -> Any:  # noqa: ANN401 - their own state
        """Where the chains begin by themselves."""
        return chains.init(num_chains, rng)


def uniform_draws(space: Space, num_samples: int, rng: RandomStream) -> Num[Tensor, "sample *event"]:
    """Independent configurations, uniform in the base measure of a space where that is finite."""
    shape = (num_samples, *space.event_shape)
    if isinstance(space, Spheres):
        return space.canonical(rng.normals(num_samples, space.num_sites).to(torch.float64).reshape(shape))
    uniform = rng.uniforms(num_samples, space.num_sites).to(torch.float64).reshape(shape)
    if isinstance(space, DiscreteSpace):
        return space.from_indices((uniform * space.num_values).floor().to(torch.int64))
    period = torch.tensor(space.spec.box or (2 * torch.pi,), dtype=torch.float64)
    centered = (uniform - 0.5) * period
    return space.canonical(centered) if isinstance(space, ContinuousSpace) else centered
