"""Flows of coupling layers, whatever the scalar map."""

import torch

from zoo.core.spaces import Space, Torus
from zoo.models.base_densities import NormalBase, UniformAngles
from zoo.models.bijections.base import Bijection, Composition
from zoo.models.bijections.coupling import Couplings, Halves, alternating, checkerboard
from zoo.models.bijections.scalar_map import ScalarMap
from zoo.models.bijections.spectral import Spectral
from zoo.models.flow import FlowNetwork
from zoo.nn.conditioner import Conditioner
from zoo.nn.dense import DenseConditioner, DenseShape
from zoo.nn.periodic_convolution import ConvolutionShape, PeriodicConvolution
from zoo.nn.periodic_inputs import PeriodicInputs
from zoo.nn.weights import generator_of
from zoo.specs.models.flow import CouplingSpec


class CouplingFlow(FlowNetwork):
    """A base density, coupling layers, and what a family puts behind them."""

    def __init__(self, spec: CouplingSpec, space: Space, seed: int, scalar_map: ScalarMap, *last: Bijection) -> None:
        generator = generator_of(seed)
        conditional = bool(spec.condition_on.names)
        first = [Spectral(space.event_shape, conditional=conditional)] if spec.base == "free_field" else []
        halves = checkerboard(space.event_shape) if spec.has_checkerboard(space.spec) else alternating(space.num_sites)
        conditioners = [
            conditioner(spec, space, halves, layer, scalar_map, generator) for layer in range(spec.couplings)
        ]
        bijection = Composition([*first, Couplings(halves, scalar_map, conditioners), *last])
        angles = isinstance(space, Torus)
        base = UniformAngles(space.num_sites) if angles else NormalBase(space.num_sites, spec.scale)
        super().__init__(spec, space, base, bijection, generator)


def conditioner(
    spec: CouplingSpec, space: Space, halves: Halves, layer: int, scalar_map: ScalarMap, generator: torch.Generator
) -> Conditioner:
    """The network of one layer."""
    active, frozen = halves.of_layer(layer)
    parity = scalar_map.parity if spec.odd else None
    conditional = bool(spec.condition_on.names)
    if spec.conditioner == "convolution":
        lattice = ConvolutionShape(
            space.event_shape,
            frozen,
            active,
            scalar_map.num_parameters,
            spec.width,
            spec.depth,
            spec.kernel,
            spec.activation,
        )
        return PeriodicConvolution(lattice, generator, conditional=conditional, parity=parity)
    inputs = len(frozen) * (2 if isinstance(space, Torus) else 1)
    shape = DenseShape(inputs, len(active), scalar_map.num_parameters, spec.width, spec.depth, spec.activation)
    dense = DenseConditioner(shape, generator, conditional=conditional, parity=parity)
    return PeriodicInputs(dense) if isinstance(space, Torus) else dense
