"""Affine and additive maps of single variables."""

from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.models.bijections.scalar_map import ScalarMap, Scalars
from zoo.nn.conditioner import Parity
from zoo.nn.scratch import scratch

LARGEST_LOG_SCALE = 4.0
"""Bound of |ln a| of one layer: scales from 0.018 to 55, so that no step of a training makes a model blow up."""


@final
class AffineMap(ScalarMap):
    """x = a z + b with ln a = 4 tanh(p_0 / 4) and b = p_1.

    Source: Dinh, Sohl-Dickstein, Bengio, arXiv:1605.08803.
    """

    @property
    def num_parameters(self) -> int:
        """2."""
        return 2

    @property
    def parity(self) -> Parity:
        """The scale is even, the shift odd."""
        return Parity((0, 1), (1.0, -1.0))

    def forward(self, z: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """A z + b and ln a."""
        return _scaled(z, parameters, inverse=False)

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """(x - b) / a and -ln a."""
        return _scaled(x, parameters, inverse=True)


@final
class AdditiveMap(ScalarMap):
    """x = z + p: it keeps volumes.

    Source: Dinh, Krueger, Bengio, arXiv:1410.8516.
    """

    @property
    def num_parameters(self) -> int:
        """1."""
        return 1

    @property
    def parity(self) -> Parity:
        """The shift is odd."""
        return Parity((0,), (-1.0,))

    def forward(self, z: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """Z + p and 0."""
        return Scalars(z + parameters[:, 0], torch.zeros_like(z))

    def inverse(self, x: Float[Tensor, "batch site"], parameters: Float[Tensor, "row parameter site"]) -> Scalars:
        """X - p and 0."""
        return Scalars(x - parameters[:, 0], torch.zeros_like(x))


def _scaled(values: Tensor, parameters: Tensor, *, inverse: bool) -> Scalars:
    if not torch.is_grad_enabled():
        return Scalars(*_mapped(values, parameters, inverse=inverse))
    return Scalars(*_Scaled.apply(values, parameters.expand(len(values), -1, -1), inverse))  # type: ignore[no-untyped-call]


def _mapped(values: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
    """The values and logarithms of slopes: a z + b and ln a, or (x - b) / a and -ln a."""
    log_slope = (
        (parameters[:, 0] / LARGEST_LOG_SCALE).tanh_().mul_(-LARGEST_LOG_SCALE if inverse else LARGEST_LOG_SCALE)
    )
    slope = torch.exp(log_slope, out=scratch("slope", log_slope.shape, log_slope))
    if inverse:
        return torch.sub(values, parameters[:, 1]).mul_(slope), log_slope
    return torch.addcmul(parameters[:, 1], values, slope), log_slope


@final
class _Scaled(torch.autograd.Function):
    """The map in one differentiable step: one array is kept beside those of the variables."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, parameters: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:  # noqa: ANN401, FBT001 - autograd's own
        mapped, log_slope = _mapped(values, parameters, inverse=inverse)
        ctx.inverse = inverse
        ctx.save_for_backward(mapped if inverse else values, log_slope)
        return mapped, log_slope

    @staticmethod
    def backward(ctx: Any, of_mapped: Tensor, of_log_slope: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        latent, log_slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # derivatives of the derivatives will be asked for
            return *_differentiable_backward(latent, log_slope, of_mapped, of_log_slope, ctx.inverse), None
        of_values = log_slope.exp().mul_(of_mapped)
        moved = scratch("moved", log_slope.shape, log_slope)
        of_parameters = log_slope.new_empty(len(latent), 2, latent.shape[1])
        if ctx.inverse:
            torch.addcmul(of_log_slope, of_mapped, latent, out=moved).neg_()
            torch.neg(of_values, out=of_parameters[:, 1])
        else:
            torch.addcmul(of_log_slope, of_values, latent, out=moved)
            of_parameters[:, 1] = of_mapped
        slope_of_log = torch.mul(log_slope, log_slope, out=of_parameters[:, 0])  # of 4 tanh(p / 4)
        slope_of_log.mul_(-(LARGEST_LOG_SCALE**-2)).add_(1).mul_(moved)
        return of_values, of_parameters, None


def _differentiable_backward(
    latent: Tensor,
    log_slope: Tensor,
    of_mapped: Tensor,
    of_log_slope: Tensor,
    inverse: bool,  # noqa: FBT001
) -> tuple[Tensor, Tensor]:
    of_values = log_slope.exp() * of_mapped
    moved = -(of_log_slope + of_mapped * latent) if inverse else of_log_slope + of_values * latent
    slope_of_log = 1 - (log_slope / LARGEST_LOG_SCALE).square()
    return of_values, torch.stack([moved * slope_of_log, -of_values if inverse else of_mapped], 1)
