"""The path from a Gaussian of the target's own position and width to the target: unbounded coordinates.

    u_0(x) = sum_i (x_i - m_i)^2 / (2 v_i),      ln Z_0 = 1/2 sum_i ln(2 pi v_i)

with m and v measured in a pilot run at l = 1; any others are as correct, and slower.  Particles in free space get one
isotropic v about the origin, a harmonic trap that treats all labels alike; with a fixed centre of mass the same u_0 on
the subspace sum_i x_i = 0 of (n - 1) d dimensions, where ln Z_0 = (n - 1) d / 2 ln(2 pi v) in its Euclidean measure.
"""

from dataclasses import dataclass
from math import pi
from typing import Any, final

import torch
from jaxtyping import Float, Float64, Int, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import ContinuousSpace
from zoo.core.targets import ContinuousTarget
from zoo.references.path import BuildChains, Path, core_exponent
from zoo.samplers.base import Chains
from zoo.samplers.hmc import RowTarget
from zoo.specs.errors import NumericalError
from zoo.specs.targets.base import Symmetry


@dataclass(frozen=True)
class Gaussian:
    """A product of normal distributions, one for each coordinate, on a space."""

    space: ContinuousSpace
    mean: Float64[Tensor, "*event"]
    variance: Float64[Tensor, "*event"]

    @property
    def log_z(self) -> float:
        """Ln of the integral of exp(-u_0); variances are equal where the centre of mass is fixed."""
        share = self.space.spec.num_degrees_of_freedom / self.space.num_sites
        return 0.5 * share * float((2 * pi * self.variance).log().sum())

    def energy(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, " batch"]:
        """u_0(x)."""
        return 0.5 * ((x - self.mean.to(x.device)) ** 2 / self.variance.to(x.device)).flatten(1).sum(1)

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-grad u_0(x)."""
        return (self.mean.to(x.device) - x) / self.variance.to(x.device)

    def draw(self, num_samples: int, rng: RandomStream) -> Float64[Tensor, "sample *event"]:
        """Independent draws; a fixed centre of mass projects an isotropic normal to one of the subspace."""
        normal = rng.normals(num_samples, self.space.num_sites).reshape(num_samples, *self.space.event_shape)
        return self.space.canonical(self.mean + self.variance.sqrt() * normal)


def fitted_gaussian(space: ContinuousSpace, x: Float64[Tensor, "sample *event"]) -> Gaussian:
    """The Gaussian with the mean and variance of each coordinate of samples ``x``; of particles, one variance for all.

    Raises:
        NumericalError: samples without a finite variance greater than 0.
    """
    if space.spec.kind == "particles":
        per_dof = space.num_sites / space.spec.num_degrees_of_freedom
        mean, variance = torch.zeros(space.event_shape, dtype=torch.float64), x.square().mean() * per_dof
        variance = variance.expand(space.event_shape)
    else:
        mean, variance = x.mean(0), x.var(0)
    if not bool(((variance > 0) & variance.isfinite()).all()):
        msg = "the pilot run did not move or ran away, so no Gaussian can be put in the target's place; check beta"
        raise NumericalError(msg)
    return Gaussian(space, mean.cpu(), variance.cpu())


@final
class Interpolation(RowTarget):
    """Row c at its own l_c: the energy (1 - l) u_0 + l beta E, reduced already, so that its beta is 1."""

    def __init__(self, target: ContinuousTarget, beta: float, reference: Gaussian, lambdas: Tensor) -> None:
        self._target = target
        self._beta = beta
        self._reference = reference
        self._lambdas = lambdas.to(torch.float64)
        self._groups: Tensor = torch.unique(self._lambdas, return_inverse=True)[1]

    @property
    def space(self) -> ContinuousSpace:
        """The target's."""
        return self._target.space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """None that is known of."""
        return frozenset()

    @property
    def row_groups(self) -> Int[Tensor, " chain"]:
        """Rows of equal l."""
        return self._groups

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float64[Tensor, " batch"]:
        """u_l(x); at l = 0 the target is not looked at, where it may be infinite."""
        weights = self._lambdas.to(x.device)
        return _mixed(weights, self._reference.energy(x), self._beta * self._target.energy(x))

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-grad u_l(x)."""
        weights = self._lambdas.to(x.device).reshape(-1, *([1] * (x.ndim - 1)))
        return _mixed(weights, self._reference.force(x), self._beta * self._target.force(x))

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy`` alone."""
        return {"energy": self.energy(x)}


def _mixed(weights: Tensor, reference: Tensor, target: Tensor) -> Tensor:
    return torch.where(weights == 0, reference, (1 - weights) * reference + weights * target)


@final
class GaussianPath(Path):
    """From ``reference`` to ``target`` at ``beta``."""

    def __init__(self, target: ContinuousTarget, beta: float, reference: Gaussian) -> None:
        super().__init__(target, beta, core_exponent(target.space))
        self._system = target
        self._reference = reference

    @property
    def description(self) -> str:
        """The Gaussian in words."""
        low, high = (float(v) for v in self._reference.variance.sqrt().aminmax())
        widths = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        return f"a Gaussian of {self.target.space.spec.num_degrees_of_freedom} dimensions, standard deviation {widths}"

    @property
    def log_z0(self) -> float:
        """That of the Gaussian."""
        return self._reference.log_z

    def slope(self, x: Num[Tensor, "chain *event"]) -> Float64[Tensor, " chain"]:
        """Beta E(x) - u_0(x)."""
        return self.beta * self.target.energy(x) - self._reference.energy(x)

    def draw(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "sample *event"]:
        """Draws of the Gaussian."""
        return self._reference.draw(num_samples, rng)

    def chains(self, lambdas: Float64[Tensor, " chain"], build: BuildChains) -> Chains[Any]:
        """Chains on the interpolated energy."""
        return build(Interpolation(self._system, self.beta, self._reference, lambdas), 1.0)

    def start(self, chains: Chains[Any], num_chains: int, rng: RandomStream) -> Any:  # noqa: ANN401 - their own state
        """Where the chains begin by themselves."""
        return chains.init(num_chains, rng)
