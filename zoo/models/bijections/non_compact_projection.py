"""Smooth maps of the circle onto itself: means of non-compact projections."""

from math import pi
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.models.bijections.scalar_map import ScalarMap, Scalars
from zoo.nn.conditioner import Parity

LARGEST_RADIUS = 0.95
"""Bound of |w|: slopes lie between 1 / 39 and 39, so that no step of a training makes a model blow up."""
_HALVINGS = {torch.float32: 28, torch.float64: 56}  # of an interval of 2 pi, to about the spacing of the numbers


@final
class ProjectionMap(ScalarMap):
    """x = z + t + mean_k 2 arg(1 - w_k exp(-i z)) for complex w_k inside the unit circle, angles modulo 2 pi.

    For real w this is tan(x / 2) = e^s tan(z / 2) with w = tanh(s / 2): the circle is projected on the real line,
    stretched there and projected back, with 0 and pi fixed.  The argument of w turns these two points; t turns the
    image.  The slope is the mean of the Poisson kernels (1 - |w|^2) / |1 - w exp(-i z)|^2, hence positive.  Parameters:
    t, then the real and the imaginary parts of v_k, w = 0.95 v / (1 + |v|^2)^(1/2).

    Source: Rezende et al., arXiv:2002.02428, sections 2.1.1 and 2.1.3.
    """

    def __init__(self, components: int) -> None:
        self.components = components

    @property
    def num_parameters(self) -> int:
        """1 + 2 K."""
        return 1 + 2 * self.components

    @property
    def parity(self) -> Parity:
        """Real parts are even, imaginary parts and the turn odd."""
        signs = (-1.0, *[1.0] * self.components, *[-1.0] * self.components)
        return Parity(tuple(range(self.num_parameters)), signs)

    def forward(self, z: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """The image, less than 2 pi away from z + t and not wrapped, and the logarithm of the slope."""
        values, slopes = self._lifted(z, *self._components(parameters))
        return Scalars(values, slopes.log())

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """The z with image ``x``, not wrapped, by halving an interval a fixed number of times; differentiable once."""
        components = self._components(parameters)
        with torch.no_grad():
            middle = x - components[0]
            half = pi
            for _ in range(_HALVINGS[x.dtype]):
                half = half / 2
                above = self._lifted(middle, *components)[0] > x
                middle = torch.where(above, middle - half, middle + half)
        values, slopes = self._lifted(middle, *components)
        z = middle - (values - x) / slopes.detach()  # Newton's step, which also has the derivatives of the inverse
        return Scalars(z, -self._lifted(z, *components)[1].log())

    def _components(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """T of shape (row, site), real and imaginary parts of w of shape (row, component, site)."""
        turn, v = parameters[:, 0], parameters[:, 1:]
        real, imaginary = v[:, : self.components], v[:, self.components :]
        scale = LARGEST_RADIUS * torch.rsqrt(1 + real.square() + imaginary.square())
        return turn, real * scale, imaginary * scale

    def _lifted(self, z: Tensor, turn: Tensor, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """The image without jumps, x(z + 2 pi) = x(z) + 2 pi, and the slope."""
        cosine, sine = z.cos()[:, None], z.sin()[:, None]
        across = 1 - (real * cosine + imaginary * sine)  # 1 - w exp(-i z), which has a positive real part
        along = real * sine - imaginary * cosine
        angle = 2 * torch.atan(along / across)
        slope = (1 - real.square() - imaginary.square()) / (across.square() + along.square())
        return z + turn + angle.mean(1), slope.mean(1)
