"""Monotone rational-quadratic splines of single variables."""

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
_LARGEST_LOGIT = 40.0  # of sizes: their ratios reach e^80, and their sums stay finite in single precision
_SLOPE_SHIFT = log(expm1(1 - SMALLEST_SLOPE))  # makes the slope 1 where its parameter is 0


class Bins(NamedTuple):
    """The bin that every variable lies in: lower end and size of the argument's bin and of the value's; shape of z."""

    start: Tensor
    width: Tensor
    value: Tensor
    height: Tensor
    number: Tensor


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
        p = parameters.expand(len(z), -1, -1)
        inside = z.clamp(-self.bound, self.bound)
        sizes = bin_sizes(p[:, : 2 * self.bins].reshape(len(p), 2, self.bins, -1))
        bins = bins_of(inside + self.bound, sizes[:, 0], sizes[:, 1], 2 * self.bound)
        found = evaluated(inside + self.bound, bins, *self._slopes(p, bins.number))
        return self._with_tails(z, Scalars(found.values - self.bound, found.log_slopes))

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """Z with f(z) = x, and ln dz/dx; x and 0 outside the box."""
        p = parameters.expand(len(x), -1, -1)
        inside = x.clamp(-self.bound, self.bound)
        sizes = bin_sizes(p[:, : 2 * self.bins].reshape(len(p), 2, self.bins, -1))
        found = bins_of(inside + self.bound, sizes[:, 1], sizes[:, 0], 2 * self.bound)
        bins = Bins(found.value, found.height, found.start, found.width, found.number)
        solved = inverted(inside + self.bound, bins, *self._slopes(p, bins.number))
        return self._with_tails(x, Scalars(solved.values - self.bound, solved.log_slopes))

    def _slopes(self, p: Float[Tensor, "batch parameter site"], index: Tensor) -> tuple[Tensor, Tensor]:
        """The slopes at both ends of the bins, 1 at the ends of the box."""
        if self.bins == 1:
            return torch.ones_like(p[:, 0]), torch.ones_like(p[:, 0])
        raw = p[:, 2 * self.bins :]
        last = self.bins - 2
        lower = slope_of(raw.gather(1, (index - 1).clamp_min(0).unsqueeze(1))[:, 0])
        upper = slope_of(raw.gather(1, index.clamp_max(last).unsqueeze(1))[:, 0])
        return torch.where(index == 0, 1.0, lower), torch.where(index == self.bins - 1, 1.0, upper)

    def _with_tails(self, z: Tensor, found: Scalars) -> Scalars:
        beyond = z.abs() >= self.bound
        return Scalars(torch.where(beyond, z, found.values), torch.where(beyond, 0.0, found.log_slopes))


def bin_sizes(logits: Float[Tensor, "batch 2 bin site"]) -> Float[Tensor, "batch 2 bin site"]:
    """Sizes of bins in proportion to exp(logit), each at least SMALLEST_BIN of their sum; the sum is not 1."""
    sizes = logits.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT).exp()
    floor = SMALLEST_BIN / (1 - logits.shape[2] * SMALLEST_BIN)
    return torch.add(sizes, sizes.sum(2, keepdim=True), alpha=floor)


def slope_of(raw: Tensor) -> Tensor:
    """A slope from its parameter: greater than SMALLEST_SLOPE, and 1 at 0."""
    return softplus(raw + _SLOPE_SHIFT) + SMALLEST_SLOPE


def bins_of(
    u: Float[Tensor, "batch site"],
    widths: Float[Tensor, "batch bin site"],
    heights: Float[Tensor, "batch bin site"],
    length: float,
) -> Bins:
    """The bin of each ``u`` in [0, length]; the sizes are proportions, and both kinds add up to ``length``.

    Running sums, one bin after the other, touch every size once and keep arrays of the size of ``u`` only.
    """
    num_bins = widths.shape[1]
    width_unit, height_unit = length / widths.sum(1), length / heights.sum(1)
    proportion = u / width_unit
    right = torch.zeros_like(u)
    start, value, index = torch.zeros_like(u), torch.zeros_like(u), torch.zeros_like(u, dtype=torch.int64)
    for k in range(num_bins - 1):
        right = right + widths[:, k]
        passed = proportion >= right
        start = torch.where(passed, right, start)
        value = torch.addcmul(value, passed.to(u.dtype), heights[:, k])
        index = index + passed
    width = widths.gather(1, index.unsqueeze(1))[:, 0]
    height = heights.gather(1, index.unsqueeze(1))[:, 0]
    return Bins(start * width_unit, width * width_unit, value * height_unit, height * height_unit, index)


def evaluated(u: Tensor, bins: Bins, lower: Tensor, upper: Tensor) -> Scalars:
    """The spline at ``u``, and the logarithm of its slope there."""
    theta = ((u - bins.start) / bins.width).clamp(0, 1)
    s = bins.height / bins.width
    across = theta * (1 - theta)
    denominator = s + (lower + upper - 2 * s) * across
    values = bins.value + bins.height * (s * theta.square() + lower * across) / denominator
    return Scalars(values, _log_slope(theta, s, lower, upper))


def inverted(v: Tensor, bins: Bins, lower: Tensor, upper: Tensor) -> Scalars:
    """The argument at which the spline is ``v``, and the logarithm of the inverse's slope there."""
    s = bins.height / bins.width
    y = (v - bins.value) / bins.height
    bend = lower + upper - 2 * s
    a, b, c = (s - lower) + y * bend, lower - y * bend, -s * y
    discriminant = (b.square() - 4 * a * c).clamp_min(0)
    theta = (2 * c / (-b - discriminant.sqrt())).clamp(0, 1)
    return Scalars(bins.start + theta * bins.width, -_log_slope(theta, s, lower, upper))


def _log_slope(theta: Tensor, s: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    across = theta * (1 - theta)
    numerator = upper * theta.square() + 2 * s * across + lower * (1 - theta).square()
    denominator = s + (lower + upper - 2 * s) * across
    return numerator.log() + 2 * (s / denominator).log()
