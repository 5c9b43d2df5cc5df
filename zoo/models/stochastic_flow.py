"""Flows with stochastic blocks."""

from math import inf
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.core.models import DifferentiableSampler, TargetedModel, Weighable
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.core.targets import States
from zoo.models.base_densities import NormalBase
from zoo.models.bijections.affine import AffineMap
from zoo.models.bijections.base import Bijection, Composition
from zoo.models.bijections.coupling import Couplings, alternating, checkerboard
from zoo.models.bijections.spectral import Spectral
from zoo.models.coupling_flow import conditioner
from zoo.models.markov_steps import HmcStep, LangevinStep, MarkovStep, MetropolisStep, Potential
from zoo.nn.weights import generator_of
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.stochastic_flow import StochasticFlowSpec

_FIRST_STREAM = 2**24  # index of the first Markov step's stream; those of bases are below


@final
class StochasticFlow(TargetedModel):
    """Blocks of affine couplings f_k and Markov steps on u_k in turn: z -> f_1 -> steps on u_1 -> f_2 -> ...

    The way x_0, x_1, .. to a sample is drawn with weights that need no likelihood of it:

        l = ln q_0(x_0) - sum_k ln |det f_k'| + sum_t [ln K_t(x_t|x_(t-1)) - ln K_t(x_(t-1)|x_t)].

    Good where modes are apart that a bijection joins by bridges: steps on energies on the way carry samples over.  What
    it cannot do is tell q(x).  With Langevin steps the whole bound <u + l> is differentiated; with steps that are
    accepted or rejected gradients end at them, so that block k learns KL(f_k q_(k-1) || exp(-u_k)), which vanishes for
    all blocks where the bound is tight.

    Source: Wu, Koehler, Noe, arXiv:2002.06707; Arbel, Matthews, Doucet, arXiv:2102.07501; Matthews, Arbel, Rezende,
    Doucet, arXiv:2201.13117.
    """

    def __init__(self, spec: StochasticFlowSpec, space: Space, seed: int) -> None:
        super().__init__()
        if (reason := spec.unsupported_reason(space.spec)) is not None:
            raise InvalidValueError(reason)
        generator = generator_of(seed)
        self.spec = spec
        self._space = space
        self.base = NormalBase(space.num_sites, spec.scale)
        first = [Spectral(space.event_shape)] if spec.base == "free_field" else []
        blocks = [_couplings(spec, space, generator) for _ in range(spec.blocks)]
        blocks[0] = Composition([*first, blocks[0]])
        self.blocks = nn.ModuleList(blocks)
        self.log_step_size = nn.Parameter(torch.full((spec.blocks,), spec.step_size).log())
        self.log_step_size.requires_grad_(spec.step == "langevin")
        self.step = _step(spec)

    @property
    def space(self) -> Space:
        """The space of the samples."""
        return self._space

    def toward(self, state: States) -> "StochasticPath":
        """The way from the base to one state of a target."""
        return StochasticPath(self, state)


@final
class StochasticPath(Weighable, DifferentiableSampler):
    """A stochastic flow to a target."""

    def __init__(self, network: StochasticFlow, state: States) -> None:
        super().__init__()
        self.network = network
        self.state = state

    @property
    def space(self) -> Space:
        """The space of the samples."""
        return self.network.space

    def sample(self, num_samples: int, rng: RandomStream) -> Float[Tensor, "batch *event"]:
        """Ends of independent paths; without gradient."""
        return self.sample_and_log_ratio(num_samples, rng)[0]

    def sample_and_log_ratio(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Ends of paths and their l; without gradient."""
        with torch.no_grad():
            return self.differentiable_sample(num_samples, rng)

    def differentiable_sample(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The same as functions of the weights, as far as the steps are; see ``MarkovStep``."""
        network, steps = self.network, self.network.spec.steps
        like = network.log_step_size
        x = network.base.sample(num_samples, rng, like)
        log_ratio = network.base.log_prob(x)
        for k, block in enumerate(network.blocks):
            x, log_det = _bijection(block).forward_and_log_det(x)
            log_ratio = log_ratio - log_det
            potential = self._potential(k)
            for t in range(steps):
                x, gained = network.step(x, potential, like[k].exp(), rng.spawn(_FIRST_STREAM + k * steps + t))
                log_ratio = log_ratio + gained
        # a way that has left all numbers behind ends at the origin, with no weight
        fine = log_ratio.isfinite() & x.isfinite().all(1)
        x, log_ratio = torch.where(fine[:, None], x, 0.0), torch.where(fine, log_ratio, inf)
        return x.view(num_samples, *self.space.event_shape), log_ratio

    def log_ratio(self, x: Float[Tensor, "batch *event"], rng: RandomStream) -> Float[Tensor, " batch"]:
        """L of the given ends of paths, drawn backwards by the same steps and the inverse couplings."""
        network, steps = self.network, self.network.spec.steps
        like = network.log_step_size
        z, total = x.flatten(1).to(like.dtype), x.new_zeros(len(x), dtype=torch.float64)
        for k in reversed(range(network.spec.blocks)):
            potential = self._potential(k)
            for t in reversed(range(steps)):
                z, gained = network.step(z, potential, like[k].exp(), rng.spawn(_FIRST_STREAM + k * steps + t))
                total = total - gained
            z, log_det = _bijection(network.blocks[k]).inverse_and_log_det(z)
            total = total + log_det
        log_ratio = total + network.base.log_prob(z)
        return torch.where(log_ratio.isnan(), -inf, log_ratio)

    def _potential(self, block: int) -> Potential:
        network = self.network
        stiffness = (-2 * network.base.log_scale.double()).exp()
        if network.spec.step != "langevin":
            stiffness = stiffness.detach()
        return Potential(stiffness, self.state, (block + 1) / network.spec.blocks, self.space.event_shape)


def _couplings(spec: StochasticFlowSpec, space: Space, generator: torch.Generator) -> Bijection:
    scalar_map = AffineMap()
    halves = checkerboard(space.event_shape) if spec.has_checkerboard(space.spec) else alternating(space.num_sites)
    layers = range(spec.couplings)
    return Couplings(
        halves, scalar_map, [conditioner(spec, space, halves, layer, scalar_map, generator) for layer in layers]
    )


def _bijection(block: nn.Module) -> Bijection:
    if isinstance(block, Bijection):
        return block
    raise TypeError(type(block).__name__)


def _step(spec: StochasticFlowSpec) -> MarkovStep:
    if spec.step == "hmc":
        return HmcStep(spec.leapfrogs)
    return MetropolisStep() if spec.step == "metropolis" else LangevinStep()
