"""Rational-quadratic splines of the circle."""

from math import pi
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.models.bijections.rational_quadratic import bin_at, evaluated, inverted, knots_of
from zoo.models.bijections.scalar_map import ScalarMap, Scalars
from zoo.nn.conditioner import Parity


@final
class CircularSplineMap(ScalarMap):
    """A spline of [-pi, pi) on itself with one slope at both ends, and then a rotation: smooth on the circle.

    The parameters are K logits of the widths, K of the heights, the K slopes at the lower ends of the bins, and the
    angle of the rotation.

    Source: Rezende et al., arXiv:2002.02428, section 2.1.2; Durkan et al., arXiv:1906.04032.
    """

    def __init__(self, bins: int) -> None:
        self.bins = bins

    @property
    def num_parameters(self) -> int:
        """3 K + 1."""
        return 3 * self.bins + 1

    @property
    def parity(self) -> Parity:
        """Bins and slopes in the opposite order, the slope at -pi being that at pi; the rotation turns back."""
        k = self.bins
        sizes = [*range(k - 1, -1, -1), *range(2 * k - 1, k - 1, -1)]
        slopes = [2 * k, *range(3 * k - 1, 2 * k, -1)]
        return Parity([*sizes, *slopes, 3 * k], [1.0] * (3 * k) + [-1.0])

    def forward(self, z: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """f(z) in [-pi, pi), and ln f'(z)."""
        knots, slopes, turn = self._spline(parameters)
        place = _place(z)
        found = evaluated(place, bin_at(place, knots, slopes, axis=0))
        return Scalars(wrapped(_angle(found.values) + turn), found.log_slopes)

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """Z in [-pi, pi) with f(z) = x, and ln dz/dx."""
        knots, slopes, turn = self._spline(parameters)
        place = _place(x - turn)
        found = inverted(place, bin_at(place, knots, slopes, axis=1))
        return Scalars(wrapped(_angle(found.values)), found.log_slopes)

    def _spline(self, parameters: Float[Tensor, "row parameter site"]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The K + 1 knots, the parameters of the slopes at them, behind the last the first, and the rotation."""
        logits, slopes, turn = torch.split(parameters, [2 * self.bins, self.bins, 1], 1)
        at_knots = slopes.unbind(1)
        return knots_of(logits), [*at_knots, at_knots[0]], turn[:, 0]


def _place(angle: Tensor) -> Tensor:
    """Where on the circle, from 0 to 1 for angles from -pi to pi."""
    return wrapped(angle) * (0.5 / pi) + 0.5


def _angle(place: Tensor) -> Tensor:
    return place * (2 * pi) - pi


def wrapped(angle: Tensor) -> Tensor:
    """The angle modulo 2 pi, in [-pi, pi)."""
    turned = angle - 2 * pi * torch.floor((angle + pi) / (2 * pi))
    return torch.where(turned >= pi, turned - 2 * pi, turned)
