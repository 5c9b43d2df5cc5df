"""The affine map as one step, against the formula by itself."""

import pytest
import torch
from torch import Tensor

from zoo.models.bijections.affine import LARGEST_LOG_SCALE, AffineMap
from zoo.nn.weights import generator_of

MAP = AffineMap()


def plain(values: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
    """Operation by operation."""
    log_scale = LARGEST_LOG_SCALE * torch.tanh(parameters[:, 0] / LARGEST_LOG_SCALE)
    if inverse:
        return (values - parameters[:, 1]) * torch.exp(-log_scale), -log_scale
    return log_scale.exp() * values + parameters[:, 1], log_scale


def given(rows: int) -> tuple[Tensor, Tensor]:
    """Five rows of three variables, and parameters of so many rows."""
    generator = generator_of(1)
    values = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    parameters = torch.randn(rows, 2, 3, generator=generator, dtype=torch.float64).mul_(3).requires_grad_()
    return values, parameters


def scalar(values: Tensor, log_slopes: Tensor) -> Tensor:
    """A number that depends on all of both."""
    weights = torch.arange(15, dtype=torch.float64).view(5, 3)
    return (weights * values.sin()).sum() + (weights.flip(1) * log_slopes.expand(5, 3).cos()).sum()


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("rows", [1, 5])
def test_values_and_derivatives_are_those_of_the_formula(rows: int, inverse: bool) -> None:  # noqa: FBT001
    values, parameters = given(rows)
    step = MAP.inverse if inverse else MAP.forward
    found, expected = step(values, parameters), plain(values, parameters, inverse=inverse)
    with torch.no_grad():
        without_gradients = step(values, parameters)
    firsts, seconds = [], []
    for output in (found, expected):
        first = torch.autograd.grad(scalar(*output), [values, parameters], create_graph=True, retain_graph=True)
        firsts += [*first, *torch.autograd.grad(scalar(*output), [values, parameters], retain_graph=True)]
        total = first[0].square().sum() + first[1].square().sum()
        seconds += [*torch.autograd.grad(total, [values, parameters])]
    pairs = [*zip(found, expected, strict=True), *zip(without_gradients, expected, strict=True)]
    pairs += [*zip(firsts[:4], firsts[4:], strict=True), *zip(seconds[:2], seconds[2:], strict=True)]
    for a, b in pairs:
        torch.testing.assert_close(a.expand_as(b) if len(a) == 1 else a, b.expand_as(a), rtol=1e-9, atol=1e-9)
