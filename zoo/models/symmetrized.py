"""A model with a symmetry, by averaging over the images of a configuration."""

from math import log
from typing import final

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from zoo.core.models import Completing, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.core.symmetries import Images

_ELEMENT_STREAM = 2**20  # the index of the stream from which the elements are drawn; those of sites are below


def symmetrized(inner: Model, elements: Images) -> "Symmetrized":
    """The average of ``inner`` over the images; it completes where ``inner`` does."""
    if isinstance(inner, Completing):
        return CompletingSymmetrized(inner, elements)
    return SymmetrizedDensity(inner, elements)


class Symmetrized(Model):
    """q(x) = 1/|G| sum_g q'(g x) for the elements g of a group of images, so that q(g x) = q(x).

    A sample is h x' with x' from q' and h drawn evenly from G; its likelihood is |G| evaluations of q'.
    """

    def __init__(self, inner: Model, elements: Images) -> None:
        super().__init__()
        self.inner = inner
        self.elements = elements
        self._inverse = elements.inverse()

    @property
    def space(self) -> Space:
        """The inner model's space."""
        return self.inner.space

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Ln of the mean of q'(g x) over g, in nats, float64, differentiable."""
        parts = [self.inner.log_prob(self.elements.of(x, g)) for g in range(len(self.elements))]
        return torch.logsumexp(torch.stack(parts), 0) - log(len(parts))

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """Samples of q', each under an element of its own."""
        x = self.inner.sample(num_samples, rng)
        return self.elements.of(x, self.drawn(num_samples, rng, x.device))

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The samples that ``sample`` draws and their ln q; without gradient."""
        x = self.sample(num_samples, rng)
        with torch.no_grad():
            return x, self.log_prob(x)

    def drawn(self, num_samples: int, rng: RandomStream, device: torch.device) -> Int[Tensor, " batch"]:
        """One element for each sample, evenly, from the sample's own random numbers."""
        stream = rng.spawn(_ELEMENT_STREAM).at(rng.first)
        uniforms = stream.uniforms(num_samples, 1, device)[:, 0].double()
        return (uniforms * len(self.elements)).long()


@final
class SymmetrizedDensity(Symmetrized):
    """The average of a model that does not complete."""


@final
class CompletingSymmetrized(Symmetrized, Completing):
    """The average of a model that completes."""

    def propose(
        self, known: Num[Tensor, "batch *event"], mask: Bool[Tensor, "batch *event"], rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The inner model's proposal for the known part under an element drawn evenly, brought back.

        Raises:
            TypeError: the inner model does not complete.
        """
        if not isinstance(self.inner, Completing):
            msg = f"{type(self.inner).__name__} does not complete"
            raise TypeError(msg)
        element = self.drawn(len(known), rng, known.device)
        sites = self.elements.sites.to(known.device)[element]
        moved_mask = mask.flatten(1).gather(1, sites).reshape(mask.shape)
        x, log_weight = self.inner.propose(self.elements.of(known, element), moved_mask, rng)
        return self._inverse.of(x, element), log_weight

    def is_exact(self, mask: Bool[Tensor, "batch *event"]) -> Bool[Tensor, " batch"]:
        """Where nothing is known: elsewhere the weight depends on the element that was drawn."""
        return ~mask.flatten(1).any(1)
