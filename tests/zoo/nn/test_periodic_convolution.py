"""Kernels written out as matrices are the convolutions that they stand for."""

from math import prod

import pytest
import torch

from zoo.nn.conditioner import Parity
from zoo.nn.periodic_convolution import ConvolutionShape, PeriodicConvolution, _Convolutions, translations

LATTICES = ((6,), (4, 4), (2, 6), (1, 4), (4, 2, 2))


def shape_of(lattice: tuple[int, ...], kernel: int = 3) -> ConvolutionShape:
    sites = torch.arange(prod(lattice))
    return ConvolutionShape(lattice, sites[::2], sites[1::2], parameters=3, width=4, depth=2, kernel=kernel)


@pytest.mark.parametrize("parity", [None, Parity((0, 2, 1), (1.0, 1.0, 1.0)), Parity((0, 1, 2), (-1.0, -1.0, -1.0))])
@pytest.mark.parametrize("lattice", LATTICES)
def test_matrices_and_convolutions_give_the_same(lattice: tuple[int, ...], parity: Parity | None) -> None:
    shape = shape_of(lattice)
    network = PeriodicConvolution(shape, torch.Generator().manual_seed(1), conditional=False, parity=parity).double()
    y = torch.randn(7, len(shape.frozen), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    by_matrices = network(y)
    assert by_matrices.shape == (7, 3, len(shape.active))
    network.layers = _Convolutions(shape)
    torch.testing.assert_close(by_matrices, network(y), rtol=1e-12, atol=1e-14)


def test_a_large_lattice_is_convolved() -> None:
    network = PeriodicConvolution(shape_of((16, 16)), torch.Generator().manual_seed(1), conditional=False)
    assert isinstance(network.layers, _Convolutions)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_translations_move_sites_round_the_lattice(kernel: int) -> None:
    lattice = (5, 7)
    between = translations(lattice, kernel)
    x = torch.arange(35.0).view(lattice)
    half = kernel // 2
    steps = [(a, b) for a in range(-half, half + 1) for b in range(-half, half + 1)]
    for by, matrix in zip(steps, between, strict=True):
        torch.testing.assert_close(matrix @ x.flatten(), x.roll((-by[0], -by[1]), (0, 1)).flatten())
