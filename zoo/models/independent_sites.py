"""Models of independent two-valued sites, sampled in one step."""

from typing import final

import torch
from jaxtyping import Bool, Float, Float32, Float64, Num
from torch import Tensor
from torch.nn.functional import logsigmoid

from zoo.core.models import Completing, ConditionalModel, IndependentSites, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.models.site_network import SiteNetwork
from zoo.models.site_values import levels
from zoo.models.threads import single_threaded


class IndependentNetwork(SiteNetwork):
    """A network of two-valued sites whose parameters, one for each site, do not depend on any other site."""


@final
class ProductModel(Model, IndependentSites, Completing):
    """q(s) = prod_i sigmoid(s_i x_i), with s = 2 b - 1 on bits, and the fields x_i of the network."""

    def __init__(self, network: IndependentNetwork, conditions: Float[Tensor, "row condition"] | None = None) -> None:
        super().__init__()
        self.network = network
        self.conditions = conditions

    @property
    def space(self) -> Space:
        """The space of the samples, spins or bits."""
        return self.network.space

    def log_odds(self) -> Float[Tensor, "row site"]:
        """The fields x_i."""
        nothing = self.network.like.new_zeros(1, self.space.num_sites, self.network.values.num_channels)
        fields: Tensor = self.network(nothing, self.network.features(self.conditions))
        return fields.squeeze(2)

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """sum_i ln sigmoid(s_i x_i) in nats, counting measure, float64, differentiable in the weights."""
        return self.site_log_prob(x).sum(1)

    def site_log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site"]:
        """Ln sigmoid(s_i x_i) of every site."""
        return _site_log_prob(self.log_odds(), x)

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """Independent samples: site i of sample b is upper when uniform (b, i) of ``rng`` is below sigmoid(x_i)."""
        x, _ = self._drawn(num_samples, rng)
        return x

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The samples that ``sample`` draws and their ln q; without gradient."""
        x, log_odds = self._drawn(num_samples, rng)
        with torch.no_grad(), single_threaded():
            return x, _site_log_prob(log_odds, x).sum(1)

    def propose(
        self, known: Num[Tensor, "batch *event"], mask: Bool[Tensor, "batch *event"], rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Missing sites as they are without the known ones: ln w = sum over known sites of ln q."""
        x, log_odds = self._drawn(len(known), rng)
        x = torch.where(mask, known.to(x.dtype), x)
        with torch.no_grad(), single_threaded():
            return x, (_site_log_prob(log_odds, x) * mask.flatten(1)).sum(1)

    def is_exact(self, mask: Bool[Tensor, "batch *event"]) -> Bool[Tensor, " batch"]:
        """True: what is known of some sites says nothing of others."""
        return torch.ones(len(mask), dtype=torch.bool, device=mask.device)

    def _drawn(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, "row site"]]:
        """Samples, and the log-odds that they were drawn with."""
        with torch.no_grad(), single_threaded():
            log_odds = self.log_odds()
            uniforms = levels(num_samples, self.space.num_sites, rng, log_odds.device)
            upper = uniforms < _least_single_above(torch.sigmoid(log_odds.double()))
            drawn = (
                upper.view(torch.uint8) if self.space.spec.kind == "bits" else upper.view(torch.int8).mul_(2).sub_(1)
            )
            return drawn.reshape(num_samples, *self.space.event_shape), log_odds


@final
class ConditionalProductModel(ConditionalModel):
    """Independent sites whose fields depend on conditions."""

    def __init__(self, network: IndependentNetwork) -> None:
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

    def at(self, values: Float[Tensor, "row condition"]) -> ProductModel:
        """The model with conditions ``values``, one row for all configurations or one for each of a batch."""
        return ProductModel(self.network, values)


def _least_single_above(x: Float64[Tensor, "row site"]) -> Float32[Tensor, "row site"]:
    """The least float32 number that is not below ``x``: a float32 number is below both or below none of them."""
    rounded = x.float()
    return torch.where(rounded.double() < x, torch.nextafter(rounded, rounded.new_tensor(torch.inf)), rounded)


def _site_log_prob(log_odds: Float[Tensor, "row site"], x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site"]:
    upper = x.flatten(1) > 0
    return logsigmoid(torch.where(upper, log_odds, -log_odds).double())
