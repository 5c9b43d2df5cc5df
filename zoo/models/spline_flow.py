"""Spline coupling flows."""

from typing import final

from zoo.core.spaces import Space, Torus
from zoo.models.bijections.circular_spline import CircularSplineMap
from zoo.models.bijections.rational_quadratic import RationalQuadraticMap
from zoo.models.bijections.scalar_map import ScalarMap
from zoo.models.coupling_flow import CouplingFlow
from zoo.specs.models.spline_flow import SplineFlowSpec


@final
class SplineFlow(CouplingFlow):
    """x_a = f(z_a; p(z_b)) for the two halves a and b in turn, f a rational-quadratic spline; see ``CouplingFlow``.

    On angles the base is uniform, the splines go round the circle and the networks see cosines and sines.  Good where
    single variables have densities of several maxima; slower than affine couplings.

    Source: Durkan et al., arXiv:1906.04032; Rezende et al., arXiv:2002.02428.
    """

    def __init__(self, spec: SplineFlowSpec, space: Space, seed: int) -> None:
        scalar_map: ScalarMap = RationalQuadraticMap(spec.bins, spec.bound)
        if isinstance(space, Torus):
            scalar_map = CircularSplineMap(spec.bins)
        super().__init__(spec, space, seed, scalar_map)
