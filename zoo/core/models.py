"""Capabilities of models as types: what a model can do is what it is an instance of."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Num
from torch import Tensor, nn

from zoo.core.random import RandomStream
from zoo.core.spaces import Space


class Sampler(ABC):
    """Draws independent configurations."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """The space of the samples."""

    @abstractmethod
    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """Independent samples, shape (num_samples, *event_shape); row i depends on ``rng`` and i alone."""


class Density(ABC):
    """Knows its normalised log-density exactly."""

    @abstractmethod
    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Ln q(x) in nats with respect to the space's base measure, float64, shape (batch,)."""


class Model(Sampler, Density, nn.Module):
    """Sampler and density in one: what every reweighting needs, trainable by gradient."""

    @abstractmethod
    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Samples and their ln q, in one pass; the pair that log-weights are made of."""
