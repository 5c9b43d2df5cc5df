"""A trainable density on every space: independent coordinates; a target needs no more than the protocol."""

from math import log, pi
from typing import final

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace, Particles, Space, Spheres, Torus

BINS = 16


@final
class IndependentValues(Model):
    """q(x) = prod_i q_i(x_i) for variables of a few values; angles and box coordinates in BINS even bins."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self._space = space
        self.logits = nn.Parameter(torch.zeros(space.num_sites, self._number, dtype=torch.float64))

    @property
    def space(self) -> Space:
        return self._space

    @property
    def _number(self) -> int:
        return self._space.num_values if isinstance(self._space, DiscreteSpace) else BINS

    @property
    def _period(self) -> Tensor:
        """The length of each coordinate's range."""
        if isinstance(self._space, Torus):
            return torch.tensor(2 * pi, dtype=torch.float64)
        assert isinstance(self._space, Particles)
        assert self._space.box is not None
        return self._space.box

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        uniforms = rng.uniforms(num_samples, 2 * self.space.num_sites).double()
        choice, inside = uniforms.chunk(2, 1)
        edges = self.logits.detach().softmax(1).cumsum(1)
        index = (choice[:, :, None] > edges).sum(2).clamp_max(self._number - 1).reshape(-1, *self.space.event_shape)
        if isinstance(self._space, DiscreteSpace):
            return self._space.from_indices(index)
        return ((index + inside.reshape(index.shape)) / BINS - 0.5) * self._period

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        log_q = self.logits.log_softmax(1)
        if isinstance(self._space, DiscreteSpace):
            kind = self._space.spec.kind
            index = ((x.long() + 1) // 2 if kind == "spins" else x.long()).flatten(1)
            constant = 0.0
        else:
            index = ((x / self._period + 0.5) * BINS).long().clamp(0, BINS - 1).flatten(1)
            constant = self.space.num_sites * log(BINS) - self._space.base_log_measure
        return log_q.gather(1, index.T).sum(0) + constant

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        x = self.sample(num_samples, rng)
        return x, self.log_prob(x)


@final
class IndependentNormals(Model):
    """A Gaussian with a mean and a width for each coordinate; one common width where the centre of mass is fixed."""

    def __init__(self, space: Space, spread: float) -> None:
        super().__init__()
        self._space = space
        centered = space.spec.centered
        shape = (1,) if centered else (space.num_sites,)
        generator = torch.Generator().manual_seed(2)
        start = torch.zeros(shape) if centered else spread * torch.randn(shape, generator=generator)
        self.mean = nn.Parameter(start.double())
        self.log_width = nn.Parameter(torch.full(shape, log(spread / 3 if not centered else spread)).double())

    @property
    def space(self) -> Space:
        return self._space

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        normals = rng.normals(num_samples, self.space.num_sites).reshape(-1, *self.space.event_shape)
        if isinstance(self._space, Particles):
            normals = self._space.tangent(normals, normals)
        if self._space.spec.centered:
            return normals * self.log_width.detach().exp()
        return (self.mean + normals.flatten(1) * self.log_width.exp()).detach().reshape(normals.shape)

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        flat = x.flatten(1).double()
        mean = 0 * self.mean if self._space.spec.centered else self.mean
        z2 = ((flat - mean) / self.log_width.exp()) ** 2
        freedom = self._space.spec.num_degrees_of_freedom
        volume = self.log_width.sum() * (freedom if self._space.spec.centered else 1)
        return -z2.sum(1) / 2 - volume - freedom / 2 * log(2 * pi)

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        x = self.sample(num_samples, rng)
        return x, self.log_prob(x)


@final
class IndependentVectors(Model):
    """Vectors whose density is (1 + a_i h) times the even one, h the last component and |a_i| < 1."""

    def __init__(self, space: Spheres) -> None:
        super().__init__()
        self._space = space
        self.tilt = nn.Parameter(torch.full((space.num_vectors,), 0.1, dtype=torch.float64))

    @property
    def space(self) -> Space:
        return self._space

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """Even vectors, turned round where a number says that the other side is likelier: (1 + a h) / 2 for each."""
        normals = rng.spawn(0).normals(num_samples, self.space.num_sites).reshape(-1, *self.space.event_shape)
        even = self._space.canonical(normals)
        uniforms = rng.spawn(1).uniforms(num_samples, len(self.tilt)).double().reshape(even.shape[:-1])
        tilt = self.tilt.detach().tanh().reshape(even.shape[1:-1])
        return torch.where((uniforms < (1 + tilt * even[..., -1]) / 2)[..., None], even, -even)

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        heights = x.double()[..., -1].flatten(1)
        return torch.log1p(self.tilt.tanh() * heights).sum(1) - self.space.base_log_measure

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        x = self.sample(num_samples, rng)
        return x, self.log_prob(x)


def simple_model(space: Space, spread: float = 1.0) -> Model:
    """A model on ``space`` to be trained: even, or of this spread at first."""
    if isinstance(space, Spheres):
        return IndependentVectors(space)
    if isinstance(space, DiscreteSpace | Torus) or space.spec.box is not None:
        return IndependentValues(space)
    return IndependentNormals(space, spread)
