"""The kernels of PixelCNN are shared by all sites, causal, and wrap around the lattice's sides."""

import pytest
import torch

from tests.conformance.cases import scramble, spins
from zoo.core.random import RandomStream
from zoo.models.pixelcnn import PixelCnn
from zoo.specs.models.pixelcnn import PixelCnnSpec

ROWS, COLUMNS = 3, 4


def scrambled(half_kernel: int = 1) -> PixelCnn:
    model = PixelCnn(PixelCnnSpec(width=3, half_kernel=half_kernel), spins((ROWS, COLUMNS)), seed=0)
    scramble(model)
    return model


def test_the_lattice_kernel_joins_each_site_to_all_earlier_ones_by_their_offset() -> None:
    model = scrambled()
    matrix = model.lattice_matrix(model.offset_kernel)
    for i in range(ROWS * COLUMNS):
        for j in range(ROWS * COLUMNS):
            up, left = i // COLUMNS - j // COLUMNS, (i - j) % COLUMNS  # the sides are joined
            expected = model.offset_kernel[up * COLUMNS + left - 1] if j < i else torch.zeros(3)
            assert torch.equal(matrix[j, i], expected)


@pytest.mark.parametrize("half_kernel", [1, 2])
def test_a_convolution_kernel_holds_the_causal_taps_and_nothing_after_the_site(half_kernel: int) -> None:
    model, k = scrambled(half_kernel), half_kernel
    kernel = model.convolution_kernel(model.kernels[0])
    assert kernel.shape == (3, 3, k + 1, 2 * k + 1)
    assert not bool(kernel[:, :, k, k + 1 :].any())
    taps = torch.cat([kernel[:, :, :k].flatten(2), kernel[:, :, k, : k + 1]], dim=2)
    assert torch.equal(taps, model.kernels[0].permute(0, 2, 1))


def test_both_memory_layouts_give_the_same_network() -> None:
    model = scrambled()
    x = model.sample(50, RandomStream(1))
    last = model.logits(x)
    model.memory_format = torch.contiguous_format
    torch.testing.assert_close(model.logits(x), last, atol=1e-5, rtol=1e-5)
