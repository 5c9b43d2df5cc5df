"""Multiscale flows with invertible convolutions."""

from math import prod
from typing import final

import torch

from zoo.core.spaces import Space
from zoo.models.base_densities import NormalBase
from zoo.models.bijections.actnorm import ActNorm
from zoo.models.bijections.affine import AffineMap
from zoo.models.bijections.base import Bijection, Composition
from zoo.models.bijections.coupling import Couplings, Halves
from zoo.models.bijections.lu_linear import LULinear
from zoo.models.bijections.permutation import Permutation
from zoo.models.bijections.spectral import Spectral
from zoo.models.bijections.squeeze import OnFirst, unsqueezing
from zoo.models.flow import FlowNetwork
from zoo.nn.channel_convolution import ChannelConvolution, ChannelShape
from zoo.nn.weights import generator_of
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.glow import GlowSpec


@final
class Glow(FlowNetwork):
    """From data to latents, on each scale: blocks become channels, ``steps`` steps, and half of the channels go on.

    A step scales and shifts every channel, mixes the channels by an invertible 1x1 convolution, and maps half of them
    affinely with a convolutional network of the others.  The other half of the channels after the last step are
    latents; the coarse ones lie at the sites of their blocks.  Both directions are parallel, and on L^d sites every
    site is reached through log2 L scales.  Translations hold for shifts by whole blocks of the coarsest scale.

    Source: Kingma, Dhariwal, arXiv:1807.03039; blocks and multiple scales: Dinh, Sohl-Dickstein, Bengio,
    arXiv:1605.08803.
    """

    def __init__(self, spec: GlowSpec, space: Space, seed: int) -> None:
        if (reason := spec.unsupported_reason(space.spec)) is not None:
            raise InvalidValueError(reason)
        generator = generator_of(seed)
        conditional = bool(spec.condition_on.names)
        first = [Spectral(space.event_shape, conditional=conditional)] if spec.base == "free_field" else []
        layout = _scale(spec.model_copy(update={"steps": 0}), space, 0, generator)
        bijection = Composition([*first, _inverse_order(layout, space.num_sites), _scale(spec, space, 0, generator)])
        super().__init__(spec, space, NormalBase(space.num_sites, spec.scale), bijection, generator)


def _scale(spec: GlowSpec, space: Space, level: int, generator: torch.Generator) -> Bijection:
    """The scale of number ``level`` and all that are coarser: channels on one lattice, latent to data."""
    lattices = spec.lattices(space.spec)
    lattice, channels = lattices[level], spec.channels(space.spec, level)
    steps = [step for _ in range(spec.steps) for step in _step(spec, lattice, channels, generator)]
    if level + 1 < len(lattices):
        steps.insert(0, OnFirst(_scale(spec, space, level + 1, generator), channels // 2 * prod(lattice)))
    fine = tuple(2 * side for side in lattice)
    return Composition([*steps, unsqueezing(channels // 2 ** len(lattice), fine)])


def _step(spec: GlowSpec, lattice: tuple[int, ...], channels: int, generator: torch.Generator) -> list[Bijection]:
    """A coupling, a 1x1 convolution, and scales and shifts, latent to data."""
    scalar_map, sites = AffineMap(), prod(lattice)
    half = channels // 2
    shape = ChannelShape(lattice, half, half, scalar_map.num_parameters, spec.width, spec.depth, spec.kernel)
    network = ChannelConvolution(shape, generator, conditional=bool(spec.condition_on.names))
    places = torch.arange(channels * sites)
    halves = Halves(places[: half * sites], places[half * sites :])
    return [Couplings(halves, scalar_map, [network]), LULinear(channels, sites), ActNorm(channels, sites)]


def _inverse_order(layout: Bijection, num_sites: int) -> Permutation:
    """The permutation that undoes ``layout``, which only moves variables: latents then lie at sites of the lattice."""
    sites = torch.arange(num_sites, dtype=torch.float64)[None]
    places, _ = layout.inverse_and_log_det(sites)
    return Permutation(places[0].long())
