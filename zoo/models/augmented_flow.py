"""Flows of configurations and extra variables."""

from math import log, pi
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.models import DifferentiableSampler, Weighable
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.models.base_densities import NormalBase
from zoo.models.bijections.affine import AffineMap
from zoo.models.bijections.coupling import Couplings, Halves
from zoo.nn.dense import DenseConditioner, DenseShape
from zoo.nn.weights import generator_of
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.augmented_flow import AugmentedFlowSpec

_EXTRA_STREAM = 2**24  # index of the stream of extra variables given x


@final
class AugmentedFlow(Weighable, DifferentiableSampler):
    """(x, a) = f(z): l = ln q_0(z) - ln |det f'| - ln r(a|x) with r normal, its mean and width given by a network of x.

    Good where a bijection of x alone is too stiff: q(x) = int q(x, a) da is a mixture of flows.  The bound <u + l> is
    that of the joint, KL(q(x, a) || p(x) r(a|x)) above -ln Z.

    Source: Huang, Dinh, Courville, arXiv:2002.07101.
    """

    def __init__(self, spec: AugmentedFlowSpec, space: Space, seed: int) -> None:
        super().__init__()
        if (reason := spec.unsupported_reason(space.spec)) is not None:
            raise InvalidValueError(reason)
        generator, scalar_map = generator_of(seed), AffineMap()
        self._space = space
        sites, extra = space.num_sites, spec.num_extra(space.spec)
        halves = Halves(torch.arange(sites), torch.arange(sites, sites + extra))
        shapes = [(extra, sites) if layer % 2 == 0 else (sites, extra) for layer in range(spec.couplings)]
        networks = [
            DenseConditioner(DenseShape(seen, mapped, 2, spec.width, spec.depth), generator, conditional=False)
            for seen, mapped in shapes
        ]
        self.base = NormalBase(sites + extra, spec.scale)
        self.couplings = Couplings(halves, scalar_map, networks)
        self.given_x = DenseConditioner(
            DenseShape(sites, extra, 2, spec.width, spec.depth), generator, conditional=False
        )

    @property
    def space(self) -> Space:
        """The space of the samples."""
        return self._space

    def sample(self, num_samples: int, rng: RandomStream) -> Float[Tensor, "batch *event"]:
        """Independent samples; without gradient."""
        return self.sample_and_log_ratio(num_samples, rng)[0]

    def sample_and_log_ratio(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Samples and their l; without gradient."""
        with torch.no_grad():
            return self.differentiable_sample(num_samples, rng)

    def differentiable_sample(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The same as functions of the weights at fixed random numbers."""
        z = self.base.sample(num_samples, rng, self.base.log_scale)
        both, log_det = self.couplings.forward_and_log_det(z)
        x, a = both[:, : self._space.num_sites], both[:, self._space.num_sites :]
        log_ratio = self.base.log_prob(z) - log_det - self._log_extra(x, a)
        return x.reshape(num_samples, *self._space.event_shape), log_ratio

    def log_ratio(self, x: Float[Tensor, "batch *event"], rng: RandomStream) -> Float[Tensor, " batch"]:
        """L of given x with a drawn from r(a|x); differentiable in the weights, and on average below ln q(x)."""
        flat = x.flatten(1).to(self.base.log_scale.dtype)
        parameters = self.given_x(flat)
        noise = rng.spawn(_EXTRA_STREAM).normals(len(x), parameters.shape[2], x.device).to(flat.dtype)
        a = parameters[:, 0] + parameters[:, 1].exp() * noise
        z, log_det = self.couplings.inverse_and_log_det(torch.cat([flat, a], 1))
        return self.base.log_prob(z) + log_det - self._log_extra(flat, a)

    def _log_extra(self, x: Float[Tensor, "batch site"], a: Float[Tensor, "batch extra"]) -> Float64[Tensor, " batch"]:
        """Ln r(a|x)."""
        mean, log_width = self.given_x(x).unbind(1)
        distance = ((a - mean) * (-log_width).exp()).square()
        density: Tensor = -(distance / 2 + log_width + log(2 * pi) / 2).sum(1, dtype=torch.float64)
        return density
