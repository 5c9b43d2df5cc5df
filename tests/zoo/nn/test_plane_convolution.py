"""Convolutions of planes: the products of matrices are torch's convolutions, with and without features."""

import pytest
import torch
from torch.nn.functional import conv2d, pad, silu

from zoo.nn.conditioning import FEATURES
from zoo.nn.plane_convolution import PlaneConvolution, PlaneShape
from zoo.nn.weights import generator_of


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("conditional", [False, True])
def test_the_layers_are_a_circular_convolution_and_two_of_one_place(kernel: int, *, conditional: bool) -> None:
    network = PlaneConvolution(PlaneShape(4, 5, 6, 2, kernel), generator_of(1), conditional=conditional).double()
    generator = generator_of(2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    y = torch.randn(4, 3, 8, 2, generator=generator, dtype=torch.float64)
    features = torch.randn(3, FEATURES, generator=generator, dtype=torch.float64) if conditional else None
    half = kernel // 2
    h = pad(y.transpose(0, 1).repeat(1, 1, 1, 4), [half] * 4, mode="circular")  # two columns wrap often enough
    taps = network.weights[0].view(6, kernel, kernel, 4).permute(0, 3, 1, 2).flip(2, 3)
    for weight in (taps, network.weights[1][:, :, None, None]):
        bias = network.biases[0] if weight is taps else network.biases[1]
        h = conv2d(h, weight, bias)
        if features is not None:
            modulation = network.modulations[0 if weight is taps else 1]
            scale, shift = (part[:, :, None, None] for part in modulation(features))
            h = h * scale + shift
        h = silu(h)
    expected = conv2d(h, network.output_weight[:, :, None, None], network.output_bias)[..., :2]
    torch.testing.assert_close(network(y, features), expected.flatten(2))


def test_a_moved_plane_has_moved_outputs() -> None:
    network = PlaneConvolution(PlaneShape(2, 3, 4, 1, 3), generator_of(1), conditional=False).double()
    y = torch.randn(2, 5, 4, 3, generator=generator_of(2), dtype=torch.float64)
    here, there = network(y).unflatten(2, (4, 3)), network(y.roll((1, 2), (2, 3))).unflatten(2, (4, 3))
    torch.testing.assert_close(there, here.roll((1, 2), (2, 3)))
    assert not torch.allclose(there, here)
