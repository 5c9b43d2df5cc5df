"""Normalizing flows: a base density, and a bijection that carries it to the data."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.core.models import ConditionalModel, DifferentiableSampler, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.models.base_densities import BaseDensity
from zoo.models.bijections.base import Bijection
from zoo.nn.conditioning import Features, encoder_of
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.flow import FlowSpec


class FlowNetwork(nn.Module):
    """What the models of a family are made of: base density, bijection, and the encoder of the conditions.

    Subclasses are the families: constructed from (spec, space, seed), with the weights drawn from the seed.
    """

    def __init__(
        self, spec: FlowSpec, space: Space, base: BaseDensity, bijection: Bijection, generator: torch.Generator
    ) -> None:
        super().__init__()
        if (reason := spec.unsupported_reason(space.spec)) is not None:
            raise InvalidValueError(reason)
        self.space = space
        self.base = base
        self.bijection = bijection
        self.condition_on = spec.condition_on
        self.encoder = encoder_of(spec.condition_on, generator)

    def features(self, conditions: Float[Tensor, "row condition"] | None) -> Features:
        """What the bijection is told of the conditions."""
        return None if self.encoder is None or conditions is None else self.encoder(conditions)

    @property
    def like(self) -> Tensor:
        """A parameter: its dtype and device are the network's."""
        return next(self.parameters())


@final
class Flow(Model, DifferentiableSampler):
    """q(x) = q_0(z) |det dz/dx| with x = f(z): ln q(x) = ln q_0(z) - ln |det dx/dz|.

    Source: Rezende, Mohamed, arXiv:1505.05770; Papamakarios et al., arXiv:1912.02762.
    """

    def __init__(self, network: FlowNetwork, conditions: Float[Tensor, "row condition"] | None = None) -> None:
        super().__init__()
        self.network = network
        self.conditions = conditions

    @property
    def space(self) -> Space:
        """The space of the samples."""
        return self.network.space

    def log_prob(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Ln q_0(f^-1(x)) + ln |det dz/dx| in nats, float64, differentiable in ``x`` and the weights."""
        network = self.network
        features = network.features(self.conditions)
        z, log_det = network.bijection.inverse_and_log_det(x.flatten(1).to(network.like.dtype), features)
        return network.base.log_prob(z) + log_det

    def sample(self, num_samples: int, rng: RandomStream) -> Float[Tensor, "batch *event"]:
        """Independent samples f(z); without gradient."""
        with torch.no_grad():
            return self.differentiable_sample(num_samples, rng)[0]

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The samples that ``sample`` draws and their ln q, in one pass; without gradient."""
        with torch.no_grad():
            return self.differentiable_sample(num_samples, rng)

    def differentiable_sample(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The same samples and ln q(x) at them, as functions of the weights at fixed random numbers."""
        network = self.network
        z = network.base.sample(num_samples, rng, network.like)
        x, log_det = network.bijection.forward_and_log_det(z, network.features(self.conditions))
        return x.view(num_samples, *self.space.event_shape), network.base.log_prob(z) - log_det


@final
class ConditionalFlow(ConditionalModel):
    """A flow whose bijection depends on conditions."""

    def __init__(self, network: FlowNetwork) -> None:
        super().__init__()
        self.network = network

    @property
    def space(self) -> Space:
        """The space of the samples."""
        return self.network.space

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of the conditions."""
        return self.network.condition_on.names

    def at(self, values: Float[Tensor, "row condition"]) -> Flow:
        """The flow with conditions ``values``, one row for all configurations or one for each of a batch."""
        return Flow(self.network, values)
