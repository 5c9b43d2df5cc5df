"""The kernels of PixelCNN are shared by all sites, causal, and wrap around the lattice's sides."""

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble, spins
from zoo.models.pixelcnn import PixelCnn
from zoo.specs.models.pixelcnn import PixelCnnSpec

ROWS, COLUMNS = 5, 4


def scrambled(spec: PixelCnnSpec | None = None, shape: tuple[int, int] = (ROWS, COLUMNS)) -> PixelCnn:
    network = PixelCnn(spec or PixelCnnSpec(width=3, half_kernel=2), spins(shape), seed=0)
    scramble(network)
    return network


def some_spins(number: int, sites: int = ROWS * COLUMNS) -> Tensor:
    return 2.0 * torch.randint(2, (number, sites, 1), generator=torch.Generator().manual_seed(1)) - 1


def first_layer_by_sums(network: PixelCnn, s: Tensor) -> Tensor:
    """(h_1, d) of every site as a plain double sum over pairs of sites, shape (batch, site, channel)."""
    reach, columns = network.reach, network.columns
    layers = []
    for i in range(network.space.num_sites):
        layer = network.site_embedding[i].expand(len(s), -1)
        for j in range(i):
            up, left = i // columns - j // columns, (i - j) % columns  # the sides are joined
            if up <= reach:
                layer = layer + s[:, j] * network.frontier_kernel[up * columns + left - 1]
            elif j < columns:
                layer = layer + s[:, j] * network.first_row_kernel[i // columns - reach - 1, left]
        layers.append(layer)
    return torch.stack(layers, 1)


def by_sums(network: PixelCnn, s: Tensor) -> Tensor:
    """The logits as plain sums over taps, from the formula of the class."""
    spec, rows, columns = network.spec, network.rows, network.columns
    first = first_layer_by_sums(network, s)
    hidden, direct = first[..., :-1], first[..., -1]
    for kernel, d in zip(network.kernels, network.dilations, strict=True):
        active, k = torch.tanh(hidden), spec.half_kernel
        offsets = [(up, right) for up in range(k, -1, -1) for right in range(-k, k + 1) if up or right <= 0]
        new = torch.zeros_like(hidden)
        for tap, (up, right) in enumerate(offsets):
            for i in range(rows * columns):
                row, column = i // columns - up * d, i % columns + right * d
                if row >= 0 and 0 <= column < columns:
                    new[:, i] += active[:, row * columns + column] @ kernel[:, tap].t()
        hidden = hidden + new if spec.residual else new
    return (torch.tanh(hidden) * network.readout).sum(2) + direct


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (PixelCnnSpec(width=3), (ROWS, COLUMNS)),
        (PixelCnnSpec(width=2, depth=4, half_kernel=2, dilated=True), (6, 7)),
        (PixelCnnSpec(width=3, half_kernel=1, residual=False), (4, 3)),
        (PixelCnnSpec(width=2, half_kernel=6, dilated=True, residual=False), (3, 2)),
        (PixelCnnSpec(width=2), (1, 5)),
        (PixelCnnSpec(width=2), (5, 1)),
    ],
    ids=str,
)
def test_the_network_is_the_sum_over_taps_that_its_formula_says(spec: PixelCnnSpec, shape: tuple[int, int]) -> None:
    network, s = scrambled(spec, shape), some_spins(20, shape[0] * shape[1])
    with torch.no_grad():
        torch.testing.assert_close(network(s).squeeze(2), by_sums(network, s), atol=2e-5, rtol=1e-5)


def test_one_tap_of_one_kernel_that_is_read_elsewhere_is_caught() -> None:
    network, other, s = scrambled(), scrambled(), some_spins(20)
    with torch.no_grad():
        other.frontier_kernel[[0, 1]] = other.frontier_kernel[[1, 0]]
        assert not torch.allclose(network(s).squeeze(2), by_sums(other, s), atol=1e-3)
        other = scrambled()
        other.first_row_kernel[0] = other.first_row_kernel[0].roll(1, 0)
        assert not torch.allclose(network(s).squeeze(2), by_sums(other, s), atol=1e-3)


def test_the_frontier_kernel_joins_each_site_to_the_rows_above_and_the_row_before_it_by_their_offset() -> None:
    network = scrambled()
    matrix = network.frontier_matrix()
    assert matrix.shape == ((network.reach + 1) * COLUMNS, COLUMNS, 4)
    for source in range(len(matrix)):
        up, column = network.reach - source // COLUMNS, source % COLUMNS
        for here in range(COLUMNS):
            offset = up * COLUMNS + (here - column) % COLUMNS  # the sides are joined
            earlier = up > 0 or column < here
            expected = network.frontier_kernel[offset - 1] if earlier else torch.zeros(4)
            assert torch.equal(matrix[source, here], expected)


def test_the_first_row_is_joined_to_the_rows_that_the_frontier_does_not_reach() -> None:
    network = scrambled()
    assert network.first_row_kernel.shape == (ROWS - network.reach - 1, COLUMNS, 4)
    matrix = network.first_row_matrix()
    for row in range(len(matrix)):
        for source in range(COLUMNS):
            for here in range(COLUMNS):
                expected = network.first_row_kernel[row, (here - source) % COLUMNS]
                assert torch.equal(matrix[row, source, here], expected)
    assert scrambled(PixelCnnSpec(width=3, half_kernel=4)).first_row_kernel.numel() == 0


@pytest.mark.parametrize("half_kernel", [1, 2])
def test_a_convolution_kernel_holds_the_causal_taps_and_nothing_after_the_site(half_kernel: int) -> None:
    network, k = scrambled(PixelCnnSpec(width=3, half_kernel=half_kernel)), half_kernel
    taps = next(iter(network.kernels))
    kernel = network.convolution_kernel(taps)
    assert kernel.shape == (3, 3, k + 1, 2 * k + 1)
    assert not bool(kernel[:, :, k, k + 1 :].any())
    held = torch.cat([kernel[:, :, :k].flatten(2), kernel[:, :, k, : k + 1]], dim=2)
    assert torch.equal(held, taps.permute(0, 2, 1))


def test_taps_of_a_dilated_network_are_twice_as_far_apart_in_each_further_layer() -> None:
    assert scrambled(PixelCnnSpec(width=2, depth=5, dilated=True)).dilations == [1, 2, 4, 8]
    assert scrambled(PixelCnnSpec(width=2, depth=5)).dilations == [1, 1, 1, 1]


def test_the_first_layer_does_not_know_which_column_a_site_is_in() -> None:
    network, s = scrambled(), some_spins(10).view(-1, ROWS, COLUMNS)
    s[:, -1] = 0  # of its own row a site sees what is before it, which is another part for each column
    with torch.no_grad():
        network.site_embedding.zero_()
        layer, shifted = (network._first_layer(x.flatten(1))[:, -1] for x in (s, s.roll(1, 2)))
        torch.testing.assert_close(layer.roll(1, 1), shifted, atol=1e-5, rtol=1e-5)
        scramble(network)
        shifted = network._first_layer(s.roll(1, 2).flatten(1))[:, -1]
    assert not torch.allclose(layer.roll(1, 1), shifted, atol=1e-2)


def test_both_memory_layouts_give_the_same_network() -> None:
    network, x = scrambled(), some_spins(50)
    last = network(x)
    network.memory_format = torch.contiguous_format
    torch.testing.assert_close(network(x), last, atol=1e-5, rtol=1e-5)
