"""Flows of masked autoregressive layers, whatever the layers see."""

from zoo.core.spaces import Space
from zoo.models.base_densities import NormalBase
from zoo.models.bijections.affine import AffineMap
from zoo.models.bijections.base import Bijection, Composition
from zoo.models.bijections.lu_linear import LULinear
from zoo.models.bijections.masked_autoregressive import MaskedAutoregressive, Seen
from zoo.models.bijections.permutation import reversal
from zoo.models.bijections.spectral import Spectral
from zoo.models.flow import FlowNetwork
from zoo.nn.masked_dense_conditioner import MaskedDenseConditioner, MaskedShape
from zoo.nn.weights import generator_of
from zoo.specs.models.masked_flow import MaskedFlowSpec

LINEAR = 1
"""The shift alone is a linear function of the variables before, and a bounded one beside it."""


class MaskedFlow(FlowNetwork):
    """A base density and masked autoregressive layers, with what mixes the variables between two of them.

    A layer whose shifts are linear makes any multivariate normal distribution from independent variables.
    """

    def __init__(self, spec: MaskedFlowSpec, space: Space, seed: int, seen: Seen) -> None:
        generator = generator_of(seed)
        conditional = bool(spec.condition_on.names)
        scalar_map, n = AffineMap(), space.num_sites
        shape = MaskedShape(n, scalar_map.num_parameters, LINEAR, spec.width, spec.depth)
        steps: list[Bijection] = []
        if spec.base == "free_field":
            steps.append(Spectral(space.event_shape, conditional=conditional))
        for layer in range(spec.layers):
            if layer:
                steps.append(LULinear(n) if spec.mixing == "linear" else reversal(n))
            conditioner = MaskedDenseConditioner(shape, generator, conditional=conditional)
            steps.append(MaskedAutoregressive(conditioner, scalar_map, seen))
        super().__init__(spec, space, NormalBase(n, spec.scale), Composition(steps), generator)
