"""Means of non-compact projections: the closed form on the line, slopes, inverses, and one turn for one turn."""

from math import pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.models.bijections.non_compact_projection import LARGEST_RADIUS, ProjectionMap

ANGLES = torch.linspace(-pi, pi, 401, dtype=torch.float64)[:, None]


def parameters(components: int, seed: int, scale: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(1, 1 + 2 * components, 1, generator=generator, dtype=torch.float64)


def wrapped(angle: Tensor) -> Tensor:
    return torch.atan2(angle.sin(), angle.cos())


@pytest.mark.parametrize("s", [-3.0, -0.5, 0.0, 0.1, 3.6])
def test_one_real_component_is_a_stretching_of_the_projected_line(s: float) -> None:
    w = torch.tanh(torch.tensor(s / 2, dtype=torch.float64)) / LARGEST_RADIUS
    raw = torch.stack([torch.zeros_like(w), w / (1 - w * w).sqrt(), torch.zeros_like(w)]).view(1, 3, 1)
    z = ANGLES[1:-1]
    values, log_slopes = ProjectionMap(1).forward(z, raw)
    stretch = torch.exp(torch.tensor(s, dtype=torch.float64))
    torch.testing.assert_close(values, 2 * torch.atan(stretch * torch.tan(z / 2)), rtol=0, atol=1e-12)
    slope = 1 / (torch.cos(z / 2).square() / stretch + torch.sin(z / 2).square() * stretch)
    torch.testing.assert_close(log_slopes.exp(), slope, rtol=1e-10, atol=0)


@settings(deadline=None, max_examples=40)
@given(components=st.integers(1, 5), seed=st.integers(0, 2**20), scale=st.sampled_from([1e-6, 0.1, 1.0, 10.0, 1e3]))
def test_slope_inverse_and_winding(components: int, seed: int, scale: float) -> None:
    circle, raw = ProjectionMap(components), parameters(components, seed, scale)
    z = ANGLES.clone().requires_grad_()
    x, log_slopes = circle.forward(z, raw)
    (slope,) = torch.autograd.grad(x.sum(), z)
    torch.testing.assert_close(slope.log(), log_slopes, rtol=1e-6, atol=1e-6)
    assert float((x[-1] - x[0]).detach()) == pytest.approx(2 * pi, abs=1e-8)
    back, inverse_log_slopes = circle.inverse(x.detach(), raw)
    assert float(wrapped(back - ANGLES).abs().max()) < 1e-8
    torch.testing.assert_close(inverse_log_slopes, -log_slopes, rtol=1e-4, atol=1e-4)
    turned, _ = circle.inverse(x.detach() + 2 * pi, raw)
    assert float(wrapped(turned - back).abs().max()) < 1e-8


def test_single_precision_inverts_at_large_slopes() -> None:
    raw = parameters(3, 1, 1e3).float()
    z = ANGLES.float()
    x, _ = ProjectionMap(3).forward(z, raw)
    again, _ = ProjectionMap(3).forward(ProjectionMap(3).inverse(x, raw).values, raw)
    assert float((again - x).abs().max()) < 1e-4


def test_the_inverse_has_the_derivatives_of_an_inverse() -> None:
    circle, raw = ProjectionMap(2), parameters(2, 3, 1.0)
    x = 0.9 * ANGLES[::20]
    steps = 1e-6 * torch.eye(raw.shape[1], dtype=torch.float64)
    for part in (0, 1):
        variable = raw.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(circle.inverse(x, variable)[part].sum(), variable)
        ahead, behind = (
            torch.stack([circle.inverse(x, raw + sign * step.view(1, -1, 1))[part].sum() for step in steps])
            for sign in (1, -1)
        )
        torch.testing.assert_close(gradient.flatten(), (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-5)


def test_zero_is_the_identity_and_reflected_parameters_the_reflected_map() -> None:
    circle = ProjectionMap(3)
    values, log_slopes = circle.forward(ANGLES, torch.zeros(1, circle.num_parameters, 1, dtype=torch.float64))
    torch.testing.assert_close(values, ANGLES)
    assert float(log_slopes.abs().max()) < 1e-12
    raw = parameters(3, 2, 1.0)
    reflected = raw[:, list(circle.parity.sources)] * torch.tensor(circle.parity.signs).double().view(1, -1, 1)
    torch.testing.assert_close(circle.forward(-ANGLES, reflected).values, -circle.forward(ANGLES, raw).values)
