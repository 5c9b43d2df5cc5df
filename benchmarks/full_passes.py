"""The published way of sampling, as a model: one full forward pass of the network for every site."""

from typing import final

import torch
from jaxtyping import Float, Num
from torch import Tensor

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.models.autoregressive import Autoregressive, sample_by_full_passes


@final
class SampledByFullPasses(Model):
    """A sequential model that draws its samples by full passes and is otherwise the same.

    Source: the algorithm of Wu, Wang, Zhang, PRL 122, 080602 (2019).
    """

    def __init__(self, model: Autoregressive) -> None:
        super().__init__()
        self.model = model

    @property
    def space(self) -> Space:
        """The model's space."""
        return self.model.space

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """The samples that the model draws, but for rounding."""
        with torch.inference_mode():
            *_, (_, draws) = sample_by_full_passes(self.model, num_samples, rng)
            x = draws.configurations()
        return x.clone().reshape(-1, *self.space.event_shape)

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """The model's ln q."""
        return self.model.log_prob(x)

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Both, the density from one more pass."""
        x = self.sample(num_samples, rng)
        with torch.no_grad():
            return x, self.log_prob(x)
