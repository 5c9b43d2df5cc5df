"""Autoregressive models of spins, q(s) = prod_i q(s_i | s_1..s_{i-1}), sampled with nothing computed twice."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal, final

import torch
from jaxtyping import Float, Int8, Num
from torch import Tensor
from torch.nn.functional import logsigmoid

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.models.threads import single_threaded
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.base import ModelSpec

SpinSymmetry = Literal["none", "z2"]


class Sweep(ABC):
    """One pass over the sites of a fixed batch, in which each activation is computed once.

    The batch is the last axis, so that what belongs to one site is one contiguous block of memory.  The caller writes
    ``spins[i]`` after ``advance(i)`` has filled ``logits[i]``; both have shape (site, batch).
    """

    def __init__(self, num_sites: int, batch: int, like: Tensor) -> None:
        self.spins = like.new_zeros(num_sites, batch)
        self.logits = like.new_zeros(num_sites, batch)

    @abstractmethod
    def advance(self, site: int) -> None:
        """Fill ``logits[site]`` = ln q(+1 | earlier) / q(-1 | earlier) from ``spins[:site]``."""


class AutoregressiveSpins(Model):
    """q(s) = prod_i sigmoid(s_i x_i(s_1..s_{i-1})), sites in raster order; subclasses are the network x.

    Symmetry ``z2`` costs nothing: the network models s' = s s_1, whose first spin is always +1, and the sign of s_1 is
    drawn evenly, so ln q(s) = -ln 2 + ln q'(s') and q(-s) = q(s) to the last bit.
    """

    def __init__(self, spec: ModelSpec, space: Space, symmetry: SpinSymmetry) -> None:
        super().__init__()
        if (reason := spec.unsupported_reason(space.spec)) is not None:
            raise InvalidValueError(reason)
        self._space = space
        self.symmetry: SpinSymmetry = symmetry

    @abstractmethod
    def network(self, spins: Float[Tensor, "batch site"]) -> Float[Tensor, "batch site"]:
        """x_i(s_1..s_{i-1}) of every site at once, differentiable."""

    @abstractmethod
    def sweep(self, batch: int) -> Sweep:
        """The same network, to be evaluated site by site."""

    @property
    @final
    def space(self) -> Space:
        """The space of the samples."""
        return self._space

    @final
    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Ln q(x) = sum_i ln sigmoid(x_i logit_i) in nats, counting measure, float64, differentiable in the weights."""
        spins = x.flatten(1).to(self._like.dtype)
        if self.symmetry == "z2":
            spins = spins * spins[:, :1]
        return _log_prob(self._fixed_first(self.network(spins)), spins, site_axis=1)

    @final
    def logits(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site"]:
        """Ln q(s_i = +1 | earlier) / q(s_i = -1 | earlier) of every site, from one full forward pass."""
        spins = x.flatten(1).to(self._like.dtype)
        if self.symmetry == "none":
            return self.network(spins)
        first = spins[:, :1]
        return self._fixed_first(self.network(spins * first)) * first

    @final
    def sample(self, num_samples: int, rng: RandomStream) -> Int8[Tensor, "batch *event"]:
        """Independent samples, int8, shape (num_samples, *event_shape).

        Spin i of sample b is +1 when uniform (b, i) of ``rng`` is below q(s_i = +1 | earlier).  Runs on one thread, so
        that the bits do not depend on how many there are.
        """
        with torch.inference_mode(), single_threaded():
            sweep, first = self._swept(num_samples, rng)
        return self._as_configurations(sweep, first)

    @final
    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Int8[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The samples that ``sample`` draws and their ln q, from the same pass; without gradient."""
        with torch.inference_mode(), single_threaded():
            sweep, first = self._swept(num_samples, rng)
        with torch.no_grad(), single_threaded():
            log_prob = _log_prob(sweep.logits, sweep.spins, site_axis=0)
        return self._as_configurations(sweep, first), log_prob

    def _swept(self, num_samples: int, rng: RandomStream) -> tuple[Sweep, Tensor]:
        """A finished sweep over s' = s ``first``, and ``first``: the sign of s_1 for z2, else +1."""
        thresholds = self._thresholds(num_samples, rng)
        first = torch.ones_like(thresholds[0])
        if self.symmetry == "z2":
            first = torch.copysign(first, -thresholds[0])
            thresholds *= first
            thresholds[0] = -torch.inf
        sweep = self.sweep(num_samples)
        one = torch.ones((), device=thresholds.device)
        for site in range(self.space.num_sites):
            sweep.advance(site)
            above = thresholds[site].neg_().add_(sweep.logits[site])
            torch.copysign(one, above, out=sweep.spins[site])
        if self.symmetry == "z2":
            sweep.logits[0] = 0
        return sweep, first

    def _thresholds(self, num_samples: int, rng: RandomStream) -> Float[Tensor, "site batch"]:
        """Ln u/(1 - u): a uniform u is below sigmoid(x) exactly when this is below x."""
        uniforms = rng.uniforms(num_samples, self.space.num_sites, self._like.device).double()
        return torch.logit(uniforms).to(self._like.dtype).t().contiguous()

    def _fixed_first(self, logits: Float[Tensor, "batch site"]) -> Float[Tensor, "batch site"]:
        """Under z2 the first spin is +1 or -1 evenly, whatever the network says."""
        if self.symmetry == "none":
            return logits
        return torch.cat([torch.zeros_like(logits[:, :1]), logits[:, 1:]], dim=1)

    def _as_configurations(self, sweep: Sweep, first: Tensor) -> Int8[Tensor, "batch *event"]:
        spins = (sweep.spins * first).to(torch.int8)
        return spins.t().contiguous().reshape(-1, *self.space.event_shape)

    @property
    def _like(self) -> Tensor:
        """A parameter: its dtype and device are the model's."""
        return next(self.parameters())


def sample_by_full_passes(
    model: AutoregressiveSpins, num_samples: int, rng: RandomStream
) -> Iterator[Num[Tensor, "batch site"]]:
    """The unfinished samples after each site, drawn by one full forward pass per site: the reference and the slow way.

    Source: the algorithm of Wu, Wang, Zhang, PRL 122, 080602 (2019).
    """
    uniforms = rng.uniforms(num_samples, model.space.num_sites, next(model.parameters()).device)
    spins = torch.ones_like(uniforms)
    for site in range(model.space.num_sites):
        probability = torch.sigmoid(model.logits(spins)[:, site])
        spins[:, site] = torch.where(uniforms[:, site] < probability, 1.0, -1.0)
        yield spins


def _log_prob(logits: Tensor, spins: Tensor, site_axis: int) -> Float[Tensor, " batch"]:
    return logsigmoid((logits * spins).double()).sum(site_axis)
