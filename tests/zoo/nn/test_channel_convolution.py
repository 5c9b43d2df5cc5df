"""Convolutions between channels: they commute with shifts of the lattice, and wrap around."""

import pytest
import torch

from tests.conformance.cases import scramble
from tests.zoo.nn.derivatives import derivatives
from zoo.nn.channel_convolution import ChannelConvolution, ChannelShape
from zoo.nn.conditioning import FEATURES
from zoo.nn.weights import generator_of


def network(lattice: tuple[int, ...], kernel: int = 3, *, conditional: bool = False) -> ChannelConvolution:
    shape = ChannelShape(lattice, frozen=2, active=3, parameters=2, width=5, depth=2, kernel=kernel)
    built = ChannelConvolution(shape, generator_of(0), conditional=conditional)
    scramble(built)
    return built.double()


@pytest.mark.parametrize("lattice", [(1,), (5,), (4, 3), (2, 3, 2)])
def test_a_shift_of_the_frozen_channels_shifts_the_parameters(lattice: tuple[int, ...]) -> None:
    built = network(lattice)
    y = torch.randn(6, 2, *lattice, generator=generator_of(1), dtype=torch.float64)
    p = built(y.flatten(1)).view(6, 2, 3, *lattice)
    shifted = built(y.roll(1, -1).flatten(1)).view(6, 2, 3, *lattice)
    torch.testing.assert_close(shifted, p.roll(1, -1))
    assert lattice[-1] == 1 or not torch.allclose(shifted, p)


@pytest.mark.parametrize(("kernel", "reach"), [(1, 0), (3, 2), (5, 4)])
def test_parameters_see_as_far_as_two_kernels_reach(kernel: int, reach: int) -> None:
    built, y = network((11,), kernel), torch.zeros(1, 22, dtype=torch.float64)
    slopes = derivatives(lambda y: built(y).flatten(1), y)[0].view(2, 33, 22)
    seen = (slopes.view(2, 3, 11, 2, 11) != 0).any(3).any(0).any(0)[0]
    assert seen.nonzero()[:, 0].tolist() == [i for i in range(11) if min(i, 11 - i) <= reach]


def test_features_change_the_parameters() -> None:
    built, y = network((4,), conditional=True), torch.ones(2, 8, dtype=torch.float64)
    features = torch.randn(2, FEATURES, generator=generator_of(3), dtype=torch.float64)
    p = built(y, features)
    assert not torch.allclose(p[0], p[1])
    torch.testing.assert_close(p[1:], built(y[:1], features[1:]))
