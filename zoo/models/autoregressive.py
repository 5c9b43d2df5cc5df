"""Sequential models q(x) = prod_i q(x_i | x_1..x_{i-1}), sampled with nothing computed twice."""

from collections.abc import Iterator
from typing import final

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from zoo.core.models import Completing, ConditionalModel, Model, SequentialDensity
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.models.recorded_sweeps import Conditions, RecordedSweeps, swept
from zoo.models.site_network import SiteNetwork
from zoo.models.site_values import Draws, Known
from zoo.models.threads import single_threaded


@final
class Autoregressive(Model, SequentialDensity, Completing):
    """q(x|c) = prod_i q(x_i | x_1..x_{i-1}, c), sites in raster order, with the conditions c fixed.

    ``conditions`` is None, one row for all configurations, or one row for each of a batch.  On a GPU a sweep over all
    sites is recorded once for each batch size, in ``recorded``, and launched as one graph.
    """

    def __init__(
        self, network: SiteNetwork, conditions: Conditions = None, recorded: RecordedSweeps | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.conditions = conditions
        self.recorded = RecordedSweeps() if recorded is None else recorded

    @property
    def space(self) -> Space:
        """The space of the samples."""
        return self.network.space

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Ln q(x) in nats with respect to the space's measure, float64, differentiable in the weights."""
        return self.site_log_prob(x).sum(1)

    def site_log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site"]:
        """Ln q(x_i | x_1..x_{i-1}) of every site, from one pass of the network."""
        network = self.network
        features = network.features(self.conditions)
        return network.values.log_prob(network(network.values.encode(x), features), x)

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """Independent samples in the dtype of the space, shape (num_samples, *event_shape).

        Runs on one thread, so that the bits do not depend on how many there are.
        """
        x, _ = self._swept(num_samples, rng)
        return x

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The samples that ``sample`` draws and their ln q, from the same pass; without gradient."""
        x, outputs = self._swept(num_samples, rng)
        return x, self._site_log_prob(outputs, x).sum(1)

    def propose(
        self, known: Num[Tensor, "batch *event"], mask: Bool[Tensor, "batch *event"], rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Missing sites drawn in order, each given all that is fixed before it: ln w = sum over known sites of ln q."""
        x, outputs = self._swept(len(known), rng, Known(known, mask))
        return x, (self._site_log_prob(outputs, x) * mask.flatten(1)).sum(1)

    def is_exact(self, mask: Bool[Tensor, "batch *event"]) -> Bool[Tensor, " batch"]:
        """Whether every known site comes before every missing one."""
        flat = mask.flatten(1)
        return (flat[:, 1:] <= flat[:, :-1]).all(1)

    def _swept(
        self, num_samples: int, rng: RandomStream, known: Known | None = None
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, "site parameter batch"]]:
        """The values drawn in a sweep over all sites, and the parameters they were drawn with."""
        network = self.network
        with torch.inference_mode(), single_threaded():
            draws = network.values.draws(num_samples, self.space.num_sites, rng, network.like, known)
            recorded = network.like.is_cuda and known is None
            sweep = self.recorded.swept if recorded else swept
            values, outputs = sweep(network, draws, num_samples, self.conditions)
        return values.clone().reshape(num_samples, *self.space.event_shape), outputs

    def _site_log_prob(
        self, outputs: Float[Tensor, "site parameter batch"], x: Num[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch site"]:
        with torch.no_grad(), single_threaded():
            return self.network.values.log_prob(outputs.permute(2, 0, 1), x)


@final
class ConditionalAutoregressive(ConditionalModel):
    """q(x|c) for every value of the conditions that a network was built for."""

    def __init__(self, network: SiteNetwork) -> None:
        super().__init__()
        self.network = network
        self._recorded = RecordedSweeps()

    @property
    def space(self) -> Space:
        """The space of the samples."""
        return self.network.space

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of the conditions."""
        return self.network.condition_on.names

    def at(self, values: Float[Tensor, "row condition"]) -> Autoregressive:
        """The model with conditions ``values``, one row for all configurations or one for each of a batch."""
        return Autoregressive(self.network, values, self._recorded)


def sample_by_full_passes(
    model: Autoregressive, num_samples: int, rng: RandomStream
) -> Iterator[tuple[Float[Tensor, "batch site channel"], Draws]]:
    """The unfinished samples after each site, drawn by one full forward pass per site: the reference and the slow way.

    Source: the algorithm of Wu, Wang, Zhang, PRL 122, 080602 (2019).
    """
    network, sites = model.network, model.space.num_sites
    draws = network.values.draws(num_samples, sites, rng, network.like)
    features = network.features(model.conditions)
    inputs = network.like.new_zeros(num_samples, sites, network.values.num_channels)
    for site in range(sites):
        parameters = network(inputs, features)[:, site]
        draws.draw(site, parameters.t(), inputs[:, site].t())
        yield inputs, draws
