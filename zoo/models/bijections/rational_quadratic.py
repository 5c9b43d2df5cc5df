"""Monotone rational-quadratic splines of single variables."""

from collections.abc import Sequence
from itertools import accumulate
from math import expm1, log
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from zoo.models.bijections.scalar_map import ScalarMap, Scalars
from zoo.nn.conditioner import Parity

SMALLEST_BIN = 1e-3
"""Least width and height of a bin, as a part of the whole box."""
SMALLEST_SLOPE = 1e-3
_SLOPE_SHIFT = log(expm1(1 - SMALLEST_SLOPE))  # makes the slope 1 where its parameter is 0


class Bin(NamedTuple):
    """The bin that every variable lies in: its ends as arguments and as values, and the slopes at both.

    Ends have shape (2, batch, site), arguments first, and are parts of the whole box; slopes have shape (batch, site).
    """

    start: Tensor
    end: Tensor
    lower: Tensor
    upper: Tensor


@final
class RationalQuadraticMap(ScalarMap):
    """On [-B, B] a quotient of quadratic polynomials in each of K bins, outside the identity; slopes are continuous.

    With theta the place in a bin of width w and height h, s = h / w, and the slopes d_0 and d_1 at its ends,

        f = y_0 + h (s theta^2 + d_0 theta (1 - theta)) / (s + (d_0 + d_1 - 2 s) theta (1 - theta)).

    The parameters are K logits of the widths, K of the heights and K - 1 slopes between bins; the slopes at +-B are 1.
    Only the bin that a variable lies in is evaluated.

    Source: Durkan, Bekasov, Murray, Papamakarios, arXiv:1906.04032; Gregory, Delbourgo, IMA J. Numer. Anal. 2, 123
    (1982).
    """

    def __init__(self, bins: int, bound: float) -> None:
        self.bins = bins
        self.bound = bound

    @property
    def num_parameters(self) -> int:
        """3 K - 1."""
        return 3 * self.bins - 1

    @property
    def parity(self) -> Parity:
        """Bins and slopes in the opposite order."""
        k = self.bins
        sources = [*range(k - 1, -1, -1), *range(2 * k - 1, k - 1, -1), *range(3 * k - 2, 2 * k - 1, -1)]
        return Parity(sources, [1.0] * len(sources))

    def forward(self, z: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """f(z) and ln f'(z); z and 0 outside the box."""
        knots, slopes = self._spline(parameters)
        place = self._place(z)
        return self._with_tails(z, evaluated(place, bin_at(place, knots, slopes, axis=0)))

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """Z with f(z) = x, and ln dz/dx; x and 0 outside the box."""
        knots, slopes = self._spline(parameters)
        place = self._place(x)
        return self._with_tails(x, inverted(place, bin_at(place, knots, slopes, axis=1)))

    def _spline(self, parameters: Float[Tensor, "row parameter site"]) -> tuple[list[Tensor], list[Tensor]]:
        """The K + 1 knots, and the parameters of the slopes at them, which are 0 at the ends of the box."""
        logits, slopes = torch.split(parameters, [2 * self.bins, self.bins - 1], 1)
        end = parameters.new_zeros(1, 1)
        return knots_of(logits), [end, *slopes.unbind(1), end]

    def _place(self, z: Tensor) -> Tensor:
        """Where in the box, from 0 to 1."""
        return z.clamp(-self.bound, self.bound) * (0.5 / self.bound) + 0.5

    def _with_tails(self, z: Tensor, found: Scalars) -> Scalars:
        beyond = z.abs() >= self.bound
        values = found.values * (2 * self.bound) - self.bound
        return Scalars(torch.where(beyond, z, values), torch.where(beyond, 0.0, found.log_slopes))


def knots_of(logits: Float[Tensor, "row logit site"]) -> list[Float[Tensor, "2 row site"]]:
    """The K + 1 ends of K bins, as arguments and as values, from K logits of widths and K of heights.

    Sizes are proportional to exp(logit) and mixed with even ones, so that each is at least SMALLEST_BIN.  The first
    knot is exactly 0 and the last exactly 1; these have one row and one site.
    """
    bins = logits.shape[1] // 2
    sizes = torch.softmax(logits.transpose(0, 1).view(2, bins, *logits.shape[::2]), 1)
    sizes = torch.lerp(sizes, sizes.new_full((), 1 / bins), bins * SMALLEST_BIN)
    inner = list(accumulate(sizes.unbind(1)[:-1]))
    first = sizes.new_zeros(2, 1, 1)
    return [first, *inner, torch.ones_like(first)]


def bin_at(place: Float[Tensor, "batch site"], knots: Sequence[Tensor], slopes: Sequence[Tensor], axis: int) -> Bin:
    """The bin of each ``place`` among the arguments (axis 0) or the values (axis 1) of K + 1 knots, by bisection.

    Half of the bins goes at every step, of all that is known of them: reading K / 2 + K / 4 + .. knots in their order
    takes a fraction of the time of looking up one out of K.
    """
    bins = len(knots) - 1
    while bins > 1:
        half = (bins + 1) // 2
        beyond = place.detach().clone().ge_(knots[half][axis].detach())  # 0 or 1, as numbers
        knots = [torch.lerp(*pair, beyond) for pair in zip(knots[: half + 1], knots[bins - half :], strict=True)]
        slopes = [torch.lerp(*pair, beyond) for pair in zip(slopes[: half + 1], slopes[bins - half :], strict=True)]
        bins = half
    return Bin(knots[0], knots[1], slope_of(slopes[0]), slope_of(slopes[1]))


def slope_of(raw: Tensor) -> Tensor:
    """A slope from its parameter: greater than SMALLEST_SLOPE, and 1 at 0."""
    return softplus(raw + _SLOPE_SHIFT) + SMALLEST_SLOPE


def evaluated(place: Float[Tensor, "batch site"], found: Bin) -> Scalars:
    """The spline of the arguments ``place``, and the logarithm of its slope there."""
    start, value = found.start.unbind()
    width, height = (found.end - found.start).unbind()
    theta = (place - start) / width
    s = height / width
    across = theta * (1 - theta)
    steepness = s / torch.addcmul(s, found.lower + found.upper - 2 * s, across)
    values = torch.addcmul(value, height * steepness, torch.addcmul(theta * theta, found.lower / s, across))
    return Scalars(values, _log_slope(theta, s, steepness, found))


def inverted(place: Float[Tensor, "batch site"], found: Bin) -> Scalars:
    """The argument at which the spline is ``place``, and the logarithm of the inverse's slope there.

    a theta^2 + b theta = c with c = s y >= 0 has one root in [0, 1].  It is written without a difference of numbers
    that are nearly equal: 2 c / (b + r) for b >= 0, and (r - b) / 2 a for b < 0, with r^2 = b^2 + 4 a c.
    """
    start, value = found.start.unbind()
    width, height = (found.end - found.start).unbind()
    s = height / width
    y = (place - value) / height
    bend = found.lower + found.upper - 2 * s
    b = torch.addcmul(found.lower, y, bend, value=-1)
    a, c = s - b, s * y
    tiny = torch.finfo(place.dtype).tiny
    sum_ = b.abs() + torch.addcmul(b * b, a, c, value=4).clamp_min(tiny).sqrt()
    falls = b.detach().lt(0).to(b.dtype)
    theta = torch.lerp(2 * c, sum_, falls) / torch.lerp(sum_, 2 * a, falls)
    across = theta * (1 - theta)
    steepness = s / torch.addcmul(s, bend, across)
    return Scalars(torch.addcmul(start, theta, width), -_log_slope(theta, s, steepness, found))


def _log_slope(theta: Tensor, s: Tensor, steepness: Tensor, found: Bin) -> Tensor:
    """Ln (d_1 theta^2 + 2 s theta (1 - theta) + d_0 (1 - theta)^2) + 2 ln(s / denominator)."""
    rest = 1 - theta
    at_end = theta * torch.addcmul(2 * s * rest, found.upper, theta)
    slope = torch.addcmul(at_end, found.lower * rest, rest) * steepness * steepness
    return slope.log()
