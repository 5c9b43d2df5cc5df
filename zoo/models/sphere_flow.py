"""Flows of unit vectors."""

from typing import final

from zoo.core.spaces import Space
from zoo.models.base_densities import UniformVectors
from zoo.models.bijections.coupling import Halves, alternating, checkerboard
from zoo.models.bijections.sphere_coupling import SphereCouplings, active_half, num_parameters
from zoo.models.flow import FlowNetwork
from zoo.nn.dense import DenseConditioner, DenseShape
from zoo.nn.weights import generator_of
from zoo.specs.models.sphere_flow import SphereFlowSpec


@final
class SphereFlow(FlowNetwork):
    """Uniform unit vectors, carried by couplings of their heights and angles; see ``SphereCouplings``.

    Good for classical vector spins and directions; a single vector is mapped round its axes in turn by splines that
    depend on nothing.  Rotations of all vectors together are learnt and not built in.

    Source: Rezende et al., arXiv:2002.02428.
    """

    def __init__(self, spec: SphereFlowSpec, space: Space, seed: int) -> None:
        generator = generator_of(seed)
        lattice, dimension = space.spec.lattice_shape, space.event_shape[-1]
        num_vectors = space.num_sites // dimension
        halves: Halves = checkerboard(lattice) if spec.has_checkerboard(space.spec) else alternating(num_vectors)
        sizes = (len(halves.first), len(halves.second))
        conditioners = []
        for layer in range(spec.couplings):
            active = active_half(layer, sizes[1])
            inputs, outputs = dimension * sizes[1 - active], num_parameters(dimension, spec.bins)
            shape = DenseShape(inputs, sizes[active], outputs, spec.width, spec.depth, spec.activation)
            conditioners.append(DenseConditioner(shape, generator, conditional=bool(spec.condition_on.names)))
        bijection = SphereCouplings(halves, dimension, spec.bins, conditioners)
        super().__init__(spec, space, UniformVectors(num_vectors, dimension), bijection, generator)
