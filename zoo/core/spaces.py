"""Spaces of configurations: where samples live, and the measure that densities refer to."""

from abc import ABC, abstractmethod
from math import inf, lgamma, log, pi, prod
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.specs.arrays import as_configurations
from zoo.specs.spaces import SpaceKind, SpaceSpec

MAX_ENUMERATED = 2**24
"""Most configurations that are listed at once."""


class Space(ABC):
    """A set of configurations of one shape, with the base measure that log-densities refer to."""

    def __init__(self, spec: SpaceSpec) -> None:
        self.spec = spec

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""
        return self.spec.event_shape

    @property
    def num_sites(self) -> int:
        """Number of variables of one configuration."""
        return self.spec.num_sites

    @property
    @abstractmethod
    def base_log_measure(self) -> float:
        """Natural logarithm of the total base measure; infinite for unbounded spaces."""

    def validate(self, x: Tensor) -> None:
        """Nothing, when every row of ``x``, shape (batch, *event_shape), is a configuration.

        Raises:
            InvalidValueError: a wrong shape or a value outside the space, naming the first offender.
        """
        as_configurations(x.detach().cpu().numpy(), self.spec)


class DiscreteSpace(Space):
    """N variables of ``num_values`` values each, with the counting measure: base_log_measure = N ln num_values."""

    @property
    @abstractmethod
    def num_values(self) -> int:
        """Values that one variable can take."""

    @abstractmethod
    def from_indices(self, index: Tensor) -> Tensor:
        """Configurations in their own dtype from values counted 0 .. num_values - 1, of any shape."""

    @property
    @final
    def base_log_measure(self) -> float:
        """N ln num_values, the logarithm of the number of configurations."""
        return self.num_sites * log(self.num_values)

    @final
    def enumerate(self) -> Tensor:
        """All configurations, shape (num_values^N, *event_shape), the first variable changing fastest.

        Raises:
            ValueError: more than 2^24 of them.
        """
        n, q = self.num_sites, self.num_values
        if n * log(q) > log(MAX_ENUMERATED) + 1e-9:
            msg = (
                f"enumeration of {n} variables of {q} values asked; at most {MAX_ENUMERATED} configurations are listed"
            )
            raise ValueError(msg)
        place = torch.tensor([q**i for i in range(n)])
        return self.from_indices(torch.arange(q**n)[:, None] // place % q).reshape(-1, *self.event_shape)


@final
class Spins(DiscreteSpace):
    """N variables of value -1 or +1, int8."""

    @property
    def num_values(self) -> int:
        """2."""
        return 2

    def from_indices(self, index: Tensor) -> Tensor:
        """-1 for 0, +1 for 1."""
        return (2 * index - 1).to(torch.int8)


@final
class Bits(DiscreteSpace):
    """N variables of value 0 or 1, uint8."""

    @property
    def num_values(self) -> int:
        """2."""
        return 2

    def from_indices(self, index: Tensor) -> Tensor:
        """The indices themselves."""
        return index.to(torch.uint8)


@final
class Categorical(DiscreteSpace):
    """N variables of value 0 .. num_values - 1, uint8."""

    @property
    def num_values(self) -> int:
        """q, at most 256."""
        return self.spec.num_values or 0  # the spec of a categorical space has it

    def from_indices(self, index: Tensor) -> Tensor:
        """The indices themselves."""
        return index.to(torch.uint8)


class ContinuousSpace(Space):
    """Real coordinates, some of them periodic, tied to a centre of mass or of unit vectors, with Lebesgue's measure."""

    @abstractmethod
    def canonical(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """The representative inside the space of coordinates that may have left it: wrapped, centred or made unit."""

    @abstractmethod
    def tangent(
        self, v: Float[Tensor, "batch *event"], x: Float[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch *event"]:
        """The part of a velocity ``v`` at ``x`` that stays in the space: all of it where that is flat and free."""

    @abstractmethod
    def moved(
        self, x: Float[Tensor, "batch *event"], v: Float[Tensor, "batch *event"], time: Float[Tensor, "..."] | float
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, "batch *event"]]:
        """Where free motion from ``x`` with velocity ``v`` leads within ``time``, and the velocity there."""


class _Flat(ContinuousSpace):
    """A space whose geodesics are straight lines."""

    @final
    def moved(
        self, x: Float[Tensor, "batch *event"], v: Float[Tensor, "batch *event"], time: Float[Tensor, "..."] | float
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, "batch *event"]]:
        """X + v t, back in the space, and v."""
        return self.canonical(x + time * v), v


class _Unbounded(_Flat):
    """R^N."""

    @property
    @final
    def base_log_measure(self) -> float:
        """Infinite."""
        return inf

    @final
    def canonical(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """``x``."""
        return x

    @final
    def tangent(
        self, v: Float[Tensor, "batch *event"], x: Float[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch *event"]:
        """``v``."""
        return v


@final
class Reals(_Unbounded):
    """R^N, with Lebesgue's measure."""


@final
class PhaseSpace(_Unbounded):
    """n positions followed by their n momenta, with Lebesgue's measure dq dp (no factor of h)."""


@final
class Torus(_Flat):
    """N angles in [-pi, pi) with the measure d(theta): base_log_measure = N ln 2 pi."""

    @property
    def base_log_measure(self) -> float:
        """N ln 2 pi."""
        return self.num_sites * log(2 * pi)

    def canonical(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """Angles modulo 2 pi, in [-pi, pi)."""
        return _wrapped(x, x.new_tensor(2 * pi))

    def tangent(
        self, v: Float[Tensor, "batch *event"], x: Float[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch *event"]:
        """``v``."""
        return v


@final
class Particles(_Flat):
    """n labelled particles in d dimensions: free, free with a fixed centre of mass, or in a periodic box.

    The measure is Lebesgue's, prod_i d^d x_i over all labellings; with a fixed centre of mass, sum_i x_i = 0, it is the
    Euclidean measure of that subspace.  (Integrating d^(nd) x delta(sum_i x_i / n) instead multiplies Z by n^(d/2).)
    """

    def __init__(self, spec: SpaceSpec) -> None:
        super().__init__(spec)
        self.num_particles, self.dimension = spec.event_shape
        self.box = None if spec.box is None else torch.tensor(spec.box, dtype=torch.float64)

    @property
    def base_log_measure(self) -> float:
        """N ln V in a box of volume V, else infinite."""
        return inf if self.box is None else self.num_particles * float(self.box.log().sum())

    def canonical(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """Coordinates wrapped into the box, or with the centre of mass moved to the origin."""
        if self.box is not None:
            return _wrapped(x, self.box.to(x))
        return self.tangent(x, x)

    def tangent(
        self, v: Float[Tensor, "batch *event"], x: Float[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch *event"]:
        """``v`` without its mean over the particles, where the centre of mass is fixed."""
        return v - v.mean(-2, keepdim=True) if self.spec.centered else v


@final
class Spheres(ContinuousSpace):
    """N unit vectors of d components, each with the area of the sphere S^(d-1) as its measure.

    base_log_measure = N ln(2 pi^(d/2) / Gamma(d/2)): 4 pi for each vector of three components.
    """

    def __init__(self, spec: SpaceSpec) -> None:
        super().__init__(spec)
        self.num_vectors, self.dimension = prod(spec.lattice_shape), spec.event_shape[-1]

    @property
    def base_log_measure(self) -> float:
        """N times the logarithm of the sphere's area."""
        half = self.dimension / 2
        return self.num_vectors * (log(2) + half * log(pi) - lgamma(half))

    def canonical(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """Every vector divided by its length."""
        return x / _length(x)

    def tangent(
        self, v: Float[Tensor, "batch *event"], x: Float[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch *event"]:
        """V - (v . x) x for every vector."""
        return v - (v * x).sum(-1, keepdim=True) * x

    def moved(
        self, x: Float[Tensor, "batch *event"], v: Float[Tensor, "batch *event"], time: Float[Tensor, "..."] | float
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, "batch *event"]]:
        """Along great circles: x cos(w t) + (v / w) sin(w t) and v cos(w t) - x w sin(w t), w = |v|."""
        speed = (v * v).sum(-1, keepdim=True).sqrt()
        angle = speed * time
        ahead = self.canonical(x * angle.cos() + v * time * torch.sinc(angle / pi))
        return ahead, self.tangent(v * angle.cos() - x * speed * angle.sin(), ahead)


def _length(x: Tensor) -> Tensor:
    return (x * x).sum(-1, keepdim=True).sqrt()


_SPACES: dict[SpaceKind, type[Space]] = {
    "spins": Spins,
    "bits": Bits,
    "categorical": Categorical,
    "reals": Reals,
    "phase_space": PhaseSpace,
    "torus": Torus,
    "spheres": Spheres,
    "particles": Particles,
}


def build_space(spec: SpaceSpec) -> Space:
    """The space that ``spec`` describes."""
    return _SPACES[spec.kind](spec)


def _wrapped(x: Tensor, period: Tensor) -> Tensor:
    """``x`` moved by whole periods into [-period / 2, period / 2)."""
    inside = x - period * torch.floor(x / period + 0.5)
    return torch.where(inside >= period / 2, -period / 2, inside)  # rounding can leave it at the upper end
