"""Splines of single variables: monotone, smooth, invertible, with exact slopes, on the line and on the circle."""

from math import pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.models.bijections.circular_spline import CircularSplineMap, wrapped
from zoo.models.bijections.rational_quadratic import RationalQuadraticMap
from zoo.models.bijections.scalar_map import ScalarMap

BOUND = 3.0
DTYPES = (torch.float32, torch.float64)


def maps(bins: int) -> tuple[ScalarMap, ScalarMap]:
    return RationalQuadraticMap(bins, BOUND), CircularSplineMap(bins)


def difference(scalar_map: ScalarMap, a: Tensor, b: Tensor) -> Tensor:
    return wrapped(a - b) if isinstance(scalar_map, CircularSplineMap) else a - b


def parameters_of(scalar_map: ScalarMap, sites: int, size: float, seed: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(64, scalar_map.num_parameters, sites, generator=generator, dtype=dtype)


def points(sites: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Random ones, and on the first rows small and large ones and the ends of the box and the circle."""
    z = 2 * torch.randn(64, sites, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    for row, value in enumerate((0.0, 1e-6, -1e-6, 1e3, -1e3, BOUND, -BOUND, BOUND - 1e-6, -pi, pi - 1e-6)):
        z[row] = value
    return z


@settings(max_examples=25, deadline=None)
@given(
    bins=st.integers(1, 12),
    sites=st.integers(1, 5),
    size=st.sampled_from([0.0, 0.3, 2.0, 50.0]),
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from(DTYPES),
    circular=st.booleans(),
)
def test_the_inverse_brings_back_what_was_mapped(
    bins: int, sites: int, size: float, seed: int, dtype: torch.dtype, *, circular: bool
) -> None:
    scalar_map = maps(bins)[circular]
    p, z = parameters_of(scalar_map, sites, size, seed, dtype), points(sites, seed, dtype)
    x, log_slopes = scalar_map.forward(z, p)
    back, inverse_slopes = scalar_map.inverse(x, p)
    assert bool(x.isfinite().all())
    assert bool(log_slopes.isfinite().all())
    rounding = {torch.float32: 2e-6, torch.float64: 1e-14}[dtype] * z.abs().clamp_min(1) * 10
    allowed = rounding * (1 + (-log_slopes).exp().clamp_max(1e6)) * (1 + 1e3 * (size > 1))
    assert bool((difference(scalar_map, back, z).abs() <= allowed).all())
    if size <= 0.3:
        torch.testing.assert_close(inverse_slopes, -log_slopes, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("size", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("circular", [False, True])
def test_slopes_are_those_of_autograd(circular: bool, size: float) -> None:  # noqa: FBT001 - a case
    scalar_map = maps(8)[circular]
    p = parameters_of(scalar_map, 4, size, 3, torch.float64)
    z = points(4, 3, torch.float64)[10:].requires_grad_()
    x, log_slopes = scalar_map.forward(z, p[10:])
    (slope,) = torch.autograd.grad(x.sum(), z)
    torch.testing.assert_close(slope.log(), log_slopes.detach(), rtol=0, atol=1e-9)
    y = x.detach().requires_grad_()
    back, inverse_slopes = scalar_map.inverse(y, p[10:])
    (slope,) = torch.autograd.grad(back.sum(), y)
    torch.testing.assert_close(slope.log(), inverse_slopes.detach(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("circular", [False, True])
def test_zero_parameters_are_the_identity(circular: bool) -> None:  # noqa: FBT001 - a case
    scalar_map = maps(8)[circular]
    z = points(3, 1, torch.float64)
    x, log_slopes = scalar_map.forward(z, torch.zeros(1, scalar_map.num_parameters, 3, dtype=torch.float64))
    assert float(difference(scalar_map, x, z).abs().max()) < 1e-12
    assert float(log_slopes.abs().max()) < 1e-12


@pytest.mark.parametrize("circular", [False, True])
def test_reflected_parameters_reflect_the_map(circular: bool) -> None:  # noqa: FBT001 - a case
    scalar_map = maps(5)[circular]
    p, z = parameters_of(scalar_map, 3, 1.0, 2, torch.float64), points(3, 2, torch.float64)[10:]
    parity = scalar_map.parity
    reflected = p[:, list(parity.sources)] * torch.tensor(parity.signs, dtype=torch.float64)[:, None]
    x, log_slopes = scalar_map.forward(z, p[10:])
    y, mirrored = scalar_map.forward(-z, reflected[10:])
    assert float(difference(scalar_map, y, -x).abs().max()) < 1e-10
    torch.testing.assert_close(mirrored, log_slopes, rtol=0, atol=1e-10)
    wrong, _ = scalar_map.forward(-z, p[10:])
    assert float(difference(scalar_map, wrong, -x).abs().max()) > 1e-2


def test_the_line_goes_on_with_slope_one_beyond_the_box() -> None:
    scalar_map = RationalQuadraticMap(6, BOUND)
    p = parameters_of(scalar_map, 1, 1.0, 4, torch.float64)
    ends = torch.tensor([[-BOUND], [BOUND]], dtype=torch.float64)
    for step in (1e-7, -1e-7):
        x, log_slopes = scalar_map.forward(ends + step, p[:2])
        torch.testing.assert_close(x, ends + step, rtol=0, atol=1e-9)
        assert float(log_slopes.abs().max()) < 1e-4
    far = torch.tensor([[-50.0], [7.0]], dtype=torch.float64)
    assert torch.equal(scalar_map.forward(far, p[:2]).values, far)


def test_the_circle_has_one_slope_where_it_closes_and_one_image() -> None:
    scalar_map = CircularSplineMap(6)
    p = parameters_of(scalar_map, 1, 1.0, 4, torch.float64)[:1]
    angles = torch.linspace(-pi, pi, 2001, dtype=torch.float64)[:-1, None]
    x, _ = scalar_map.forward(angles, p)
    turned, _ = scalar_map.forward(angles + 2 * pi, p)
    assert float(wrapped(x - turned).abs().max()) < 1e-12
    ends = torch.tensor([[-pi], [pi - 1e-9]], dtype=torch.float64)
    first, last = scalar_map.forward(ends, p).log_slopes
    assert abs(float(first - last)) < 1e-6
    assert bool(((x >= -pi) & (x < pi)).all())
    steps = wrapped(x[1:] - x[:-1])
    assert bool((steps > 0).all())
    assert float(steps.sum() + wrapped(x[:1] - x[-1:]).sum()) == pytest.approx(2 * pi, abs=1e-9)
