"""Couplings of unit vectors: heights along an axis and angles round it, given the vectors that stay."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.models.bijections.base import Bijection, Mapped
from zoo.models.bijections.circular_spline import CircularSplineMap
from zoo.models.bijections.coupling import Halves, in_pieces
from zoo.models.bijections.rational_quadratic import bin_at, evaluated, inverted, knots_of
from zoo.models.bijections.scalar_map import Scalars
from zoo.nn.conditioner import Conditioner
from zoo.nn.conditioning import Features

_NEAR_POLE = 1e-9
"""1 - h^2 below which differences of heights keep fewer digits than the slope at the end of the spline."""
_FROM_RADIUS = 0.5
"""Heights squared above which a height is found from its distance to the axis, which has more digits there."""

Vectors = list[Tensor]
"""The components of unit vectors, each of shape (batch, vector), float64."""


@final
class SphereCouplings(Bijection):
    """Layers that map the vectors of one half, in coordinates round an axis that changes from layer to layer.

    With h the component along the axis e_a, and the angle phi and the radius r of the next two components,

        h'   = f(h),                  (the others) * sqrt((1 - h'^2) / (1 - h^2)),
        phi' = g(phi; r' (A + h' B)) + C + h' D,

    f a rational-quadratic spline of [-1, 1] with free slopes at its ends and g one of the circle.  Their parameters
    come from one network of the vectors of the other half.  The area of a sphere is dA ~ (1 - h^2)^((d-3)/2) dh dA'
    and r dr dphi that of the plane, so with s^2 = (1 - h'^2) / (1 - h^2)

        ln |det| = ln f'(h) + (d - 3) ln s + ln g'(phi).

    At the poles r = 0, where the angle is none, g is a rotation: the density is continuous there.  Vectors of two
    components have angles alone.  Computed in float64: near 1 a height in float32 says little of where a vector is.

    Source: Rezende et al., arXiv:2002.02428, section 2.2 (recursive, with the poles moved from layer to layer).
    """

    def __init__(self, halves: Halves, dimension: int, bins: int, conditioners: Sequence[Conditioner]) -> None:
        super().__init__()
        self.dimension = dimension
        self.bins = bins
        self.conditioners = nn.ModuleList(conditioners)
        self._circle = CircularSplineMap(bins)
        order = torch.cat([halves.first, halves.second])
        self.register_buffer("_order", order, persistent=False)
        self.register_buffer("_back", order.argsort(), persistent=False)
        self._sizes = [len(halves.first), len(halves.second)]

    _order: Tensor
    _back: Tensor

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """The layers in their order."""
        return in_pieces(z, features, self._numbers, lambda part, seen: self._through(part, seen, inverse=False))

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """The layers backwards."""
        return in_pieces(x, features, self._numbers, lambda part, seen: self._through(part, seen, inverse=True))

    @property
    def _numbers(self) -> int:
        """Parameters of a row in a layer, counted twice since they are float64."""
        return 2 * num_parameters(self.dimension, self.bins) * max(self._sizes)

    def _through(self, x: Float[Tensor, "batch site"], features: Features, *, inverse: bool) -> Mapped:
        vectors = x.view(len(x), -1, self.dimension).index_select(1, self._order).double()
        halves = [_unit(list(half.unbind(2))) for half in torch.split(vectors, self._sizes, 1)]
        log_det = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        layers = range(len(self.conditioners))
        for layer in reversed(layers) if inverse else layers:
            active, axis = active_half(layer, self._sizes[1]), layer_axis(layer, self._sizes[1], self.dimension)
            frozen = torch.cat(halves[1 - active], 1).to(x.dtype)
            parameters = self.conditioners[layer](frozen, features).double()
            turned = halves[active][axis:] + halves[active][:axis]
            moved, added = self._moved(turned, parameters, inverse=inverse)
            halves[active] = moved[-axis:] + moved[:-axis] if axis else moved
            log_det = log_det + added.sum(1)
        joined = torch.cat([torch.stack(half, 2) for half in halves], 1).index_select(1, self._back)
        return joined.flatten(1).to(x.dtype), log_det

    def _moved(
        self, x: Vectors, parameters: Float[Tensor, "row parameter active"], *, inverse: bool
    ) -> tuple[Vectors, Tensor]:
        """Vectors mapped round their first component, and ln |det| of each."""
        circle = self._circle.num_parameters
        if self.dimension == 2:
            return self._turned(x, [], parameters, inverse=inverse)
        heights, even, tilted = torch.split(parameters, [3 * self.bins + 1, circle, circle], 1)
        if inverse:
            x, turned = self._turned(x, [even, tilted], parameters, inverse=True)
            x, raised = self._raised(x, heights, inverse=True)
        else:
            x, raised = self._raised(x, heights, inverse=False)
            x, turned = self._turned(x, [even, tilted], parameters, inverse=False)
        return x, raised + turned

    def _raised(
        self, x: Vectors, parameters: Float[Tensor, "row parameter active"], *, inverse: bool
    ) -> tuple[Vectors, Tensor]:
        """Heights moved by their spline, and ln |det| of each vector."""
        rest = sum_of_squares(x[1:])
        from_radius = (1 - rest).clamp_min(_FROM_RADIUS / 2).sqrt().copysign(x[0])
        place = (torch.where(x[0] * x[0] > _FROM_RADIUS, from_radius, x[0]) + 1) / 2
        logits, slopes = torch.split(parameters, [2 * self.bins, self.bins + 1], 1)
        found_bin = bin_at(place, knots_of(logits), slopes.unbind(1), axis=1 if inverse else 0)
        found: Scalars = inverted(place, found_bin) if inverse else evaluated(place, found_bin)
        new_rest = 4 * found.values * (1 - found.values)
        near = rest < _NEAR_POLE
        ratio = new_rest / rest.clamp_min(_NEAR_POLE)
        squeezed = torch.where(near, found.log_slopes.exp(), ratio.clamp_min(torch.finfo(ratio.dtype).tiny))
        scale = squeezed.sqrt()
        moved = [2 * found.values - 1, *(component * scale for component in x[1:])]
        return moved, found.log_slopes + (self.dimension - 3) / 2 * squeezed.log()

    def _turned(
        self, x: Vectors, tilts: list[Tensor], parameters: Float[Tensor, "row parameter active"], *, inverse: bool
    ) -> tuple[Vectors, Tensor]:
        """Angles in the plane of two components moved by their spline, and ln |det| of each vector."""
        first = len(x[:-2]) and 1  # the plane behind the axis; vectors of two components have no other
        across, up = x[first], x[first + 1]
        radius = sum_of_squares([across, up]).clamp_min(torch.finfo(torch.float64).tiny).sqrt()
        if tilts:
            even, tilted = tilts
            at_height = torch.addcmul(even, tilted, x[0][:, None])
            parameters = torch.cat([at_height[:, :-1] * radius[:, None], at_height[:, -1:]], 1)
        at_pole = radius < _NEAR_POLE
        angle = torch.atan2(torch.where(at_pole, 0.0, up), torch.where(at_pole, 1.0, across))
        found = self._circle.inverse(angle, parameters) if inverse else self._circle.forward(angle, parameters)
        moved = [*x[:first], radius * found.values.cos(), radius * found.values.sin(), *x[first + 2 :]]
        return moved, found.log_slopes


def num_parameters(dimension: int, bins: int) -> int:
    """Numbers that a layer's network gives for each vector: those of a circle, or of heights and of two circles."""
    circle = CircularSplineMap(bins).num_parameters
    return circle if dimension == 2 else 3 * bins + 1 + 2 * circle


def active_half(layer: int, second: int) -> int:
    """Which half a layer maps: the halves take turns, where there is a second one."""
    return layer % 2 if second else 0


def layer_axis(layer: int, second: int, dimension: int) -> int:
    """The axis of a layer: the next one whenever all vectors have been mapped."""
    return (layer // 2 if second else layer) % dimension


def sum_of_squares(components: Sequence[Tensor]) -> Tensor:
    """The sum over components, in their order whatever the size of the batch."""
    total = components[0] * components[0]
    for component in components[1:]:
        total = torch.addcmul(total, component, component)
    return total


def _unit(x: Vectors) -> Vectors:
    """Vectors divided by their lengths."""
    if not x[0].numel():
        return x
    length = sum_of_squares(x).sqrt()
    return [component / length for component in x]
