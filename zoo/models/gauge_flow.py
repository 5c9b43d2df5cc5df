"""Gauge-equivariant flows."""

from typing import final

from zoo.core.spaces import Space
from zoo.models.base_densities import UniformAngles
from zoo.models.bijections.circular_spline import CircularSplineMap
from zoo.models.bijections.gauge_coupling import CHANNELS, GaugeCouplings
from zoo.models.bijections.non_compact_projection import ProjectionMap
from zoo.models.flow import FlowNetwork
from zoo.nn.plane_convolution import PlaneConvolution, PlaneShape
from zoo.nn.weights import generator_of
from zoo.specs.models.gauge_flow import GaugeFlowSpec


@final
class GaugeFlow(FlowNetwork):
    """Uniform links, carried by couplings that commute with gauge transformations; see ``GaugeCouplings``.

    q has every gauge symmetry, and the translations by four links, exactly.  Both directions are parallel.  Charge is
    changed by moving plaquettes through pi, where the target is small: at beta far above the side lengths sectors mix
    little in training, and are learnt from the uniform start.

    Source: Kanwar et al., Phys. Rev. Lett. 125, 121601 (2020), arXiv:2003.06413.
    """

    def __init__(self, spec: GaugeFlowSpec, space: Space, seed: int) -> None:
        generator = generator_of(seed)
        scalar_map = ProjectionMap(spec.components) if spec.map == "ncp" else CircularSplineMap(spec.bins)
        shape = PlaneShape(CHANNELS, scalar_map.num_parameters, spec.width, spec.depth, spec.kernel)
        conditional = bool(spec.condition_on.names)
        conditioners = [PlaneConvolution(shape, generator, conditional=conditional) for _ in range(spec.couplings)]
        bijection = GaugeCouplings(space.event_shape[1:], scalar_map, conditioners)
        super().__init__(spec, space, UniformAngles(space.num_sites), bijection, generator)
