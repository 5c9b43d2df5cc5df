"""Spins as bits and bits as spins: a family that knows one of the two serves the other."""

from typing import final

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from zoo.core.models import Completing, Model, SequentialDensity
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.models.autoregressive import Autoregressive


@final
class TwoValued(Model, SequentialDensity, Completing):
    """The model of an inner one under s = 2 b - 1, which is one to one, so that ln q is the same on both sides."""

    def __init__(self, inner: Model, space: Space) -> None:
        super().__init__()
        if not isinstance(inner, Autoregressive):
            msg = f"{type(inner).__name__} is not sequential"
            raise TypeError(msg)
        self.inner = inner
        self._space = space

    @property
    def space(self) -> Space:
        """Bits where the inner model has spins, spins where it has bits."""
        return self._space

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """The inner model's samples, in the values of this space."""
        return self._outside(self.inner.sample(num_samples, rng))

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """The inner model's ln q of the same configuration, in nats, counting measure."""
        return self.inner.log_prob(self._inside(x))

    def site_log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site"]:
        """The inner model's ln q of each site."""
        return self.inner.site_log_prob(self._inside(x))

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The inner model's samples, in the values of this space, and their ln q."""
        x, log_prob = self.inner.sample_and_log_prob(num_samples, rng)
        return self._outside(x), log_prob

    def propose(
        self, known: Num[Tensor, "batch *event"], mask: Bool[Tensor, "batch *event"], rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The inner model's completions, in the values of this space, and their ln w."""
        x, log_weight = self.inner.propose(self._inside(known), mask, rng)
        return self._outside(x), log_weight

    def is_exact(self, mask: Bool[Tensor, "batch *event"]) -> Bool[Tensor, " batch"]:
        """Where the inner model's is."""
        return self.inner.is_exact(mask)

    def _inside(self, x: Num[Tensor, "batch *event"]) -> Num[Tensor, "batch *event"]:
        value = x.to(torch.float32)
        return 2 * value - 1 if self._space.spec.kind == "bits" else (value + 1) / 2

    def _outside(self, x: Num[Tensor, "batch *event"]) -> Num[Tensor, "batch *event"]:
        if self._space.spec.kind == "bits":
            return (x > 0).to(torch.uint8)
        return (2 * x.to(torch.int8) - 1).to(torch.int8)
