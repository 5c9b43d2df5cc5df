"""Rational-quadratic splines of the circle."""

from math import pi
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.models.bijections.rational_quadratic import Bins, bin_sizes, bins_of, evaluated, inverted, slope_of
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
        p = parameters.expand(len(z), -1, -1)
        u = wrapped(z) + pi
        sizes = bin_sizes(p[:, : 2 * self.bins].reshape(len(p), 2, self.bins, -1))
        bins = bins_of(u, sizes[:, 0], sizes[:, 1], 2 * pi)
        found = evaluated(u, bins, *self._slopes(p, bins.number))
        return Scalars(wrapped(found.values - pi + p[:, -1]), found.log_slopes)

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """Z in [-pi, pi) with f(z) = x, and ln dz/dx."""
        p = parameters.expand(len(x), -1, -1)
        v = wrapped(x - p[:, -1]) + pi
        sizes = bin_sizes(p[:, : 2 * self.bins].reshape(len(p), 2, self.bins, -1))
        found = bins_of(v, sizes[:, 1], sizes[:, 0], 2 * pi)
        bins = Bins(found.value, found.height, found.start, found.width, found.number)
        solved = inverted(v, bins, *self._slopes(p, bins.number))
        return Scalars(wrapped(solved.values - pi), solved.log_slopes)

    def _slopes(self, p: Float[Tensor, "batch parameter site"], index: Tensor) -> tuple[Tensor, Tensor]:
        """The slopes at both ends of the bins; behind the last comes the first."""
        raw = p[:, 2 * self.bins : 3 * self.bins]
        lower = raw.gather(1, index.unsqueeze(1))[:, 0]
        upper = raw.gather(1, ((index + 1) % self.bins).unsqueeze(1))[:, 0]
        return slope_of(lower), slope_of(upper)


def wrapped(angle: Tensor) -> Tensor:
    """The angle modulo 2 pi, in [-pi, pi)."""
    turned = angle - 2 * pi * torch.floor((angle + pi) / (2 * pi))
    return torch.where(turned >= pi, turned - 2 * pi, turned)
