"""What flows begin with: densities that are drawn from at once and known in closed form."""

from abc import ABC, abstractmethod
from math import lgamma, log, pi
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from zoo.core.random import RandomStream


class BaseDensity(nn.Module, ABC):
    """A density q_0(z) of flat vectors, shape (batch, site)."""

    @abstractmethod
    def sample(self, num_samples: int, rng: RandomStream, like: Tensor) -> Float[Tensor, "batch site"]:
        """Independent draws in the dtype and on the device of ``like``; differentiable in what is learnt."""

    @abstractmethod
    def log_prob(self, z: Float[Tensor, "batch site"]) -> Float64[Tensor, " batch"]:
        """Ln q_0(z) in nats, float64, differentiable."""


@final
class NormalBase(BaseDensity):
    """Independent normal variables of mean 0 and one learnt standard deviation s: of particles, a harmonic trap.

    ln q_0(z) = -|z|^2 / (2 s^2) - N ln s - N/2 ln 2 pi.
    """

    def __init__(self, num_sites: int, scale: float) -> None:
        super().__init__()
        self.num_sites = num_sites
        self.log_scale = nn.Parameter(torch.tensor(log(scale)))

    def sample(self, num_samples: int, rng: RandomStream, like: Tensor) -> Float[Tensor, "batch site"]:
        """S times standard normal numbers."""
        draw = rng.single_normals if like.dtype == torch.float32 else rng.normals
        return draw(num_samples, self.num_sites, like.device).to(like.dtype) * self.log_scale.exp()

    def log_prob(self, z: Float[Tensor, "batch site"]) -> Float64[Tensor, " batch"]:
        """That of the normal distribution."""
        log_scale = self.log_scale.double()
        squares = z.square().sum(1, dtype=torch.float64)
        return -squares * (-2 * log_scale).exp() / 2 - self.num_sites * (log_scale + log(2 * pi) / 2)


@final
class UniformAngles(BaseDensity):
    """Independent angles, each with density 1 / 2 pi on [-pi, pi)."""

    def __init__(self, num_sites: int) -> None:
        super().__init__()
        self.num_sites = num_sites

    def sample(self, num_samples: int, rng: RandomStream, like: Tensor) -> Float[Tensor, "batch site"]:
        """2 pi u - pi from uniform numbers u."""
        uniforms = rng.uniforms(num_samples, self.num_sites, like.device).to(like.dtype)
        return uniforms * (2 * pi) - pi

    def log_prob(self, z: Float[Tensor, "batch site"]) -> Float64[Tensor, " batch"]:
        """-N ln 2 pi."""
        return torch.full((len(z),), -self.num_sites * log(2 * pi), dtype=torch.float64, device=z.device)


@final
class UniformVectors(BaseDensity):
    """Independent unit vectors of d components, each uniform on its sphere, of area 2 pi^(d/2) / Gamma(d/2)."""

    def __init__(self, num_vectors: int, dimension: int) -> None:
        super().__init__()
        self.num_vectors = num_vectors
        self.dimension = dimension

    def sample(self, num_samples: int, rng: RandomStream, like: Tensor) -> Float[Tensor, "batch site"]:
        """Standard normal vectors divided by their lengths."""
        numbers = self.num_vectors * self.dimension
        draw = rng.single_normals if like.dtype == torch.float32 else rng.normals
        normals = draw(num_samples, numbers, like.device).double().view(num_samples, -1, self.dimension)
        squares = torch.stack([component * component for component in normals.unbind(2)]).sum(0)
        return (normals / squares.sqrt()[:, :, None]).to(like.dtype).flatten(1)

    def log_prob(self, z: Float[Tensor, "batch site"]) -> Float64[Tensor, " batch"]:
        """Minus the logarithm of the spheres' areas."""
        half = self.dimension / 2
        log_measure = self.num_vectors * (log(2) + half * log(pi) - lgamma(half))
        return torch.full((len(z),), -log_measure, dtype=torch.float64, device=z.device)
