"""The frontier is what nearest neighbours let a site depend on, and its sweep is its forward pass."""

import pytest
import torch
from torch import Tensor

from zoo.core.spaces import Space, build_space
from zoo.models.frontier import LONGEST_ROW, Frontier, FrontierSweep
from zoo.models.site_values import SpinValues
from zoo.specs.spaces import SpaceSpec

SHAPES = ((4, 5), (3, 1), (1, 6), (2, 2, 3), (7,), (1,), (LONGEST_ROW + 1,))


def space_of(shape: tuple[int, ...]) -> Space:
    return build_space(SpaceSpec(kind="spins", event_shape=shape))


def frontier_of(shape: tuple[int, ...]) -> Frontier:
    return Frontier(space_of(shape), SpinValues(quotient=False), 3, torch.Generator().manual_seed(2))


def seen(shape: tuple[int, ...], *, later_rows: bool) -> Tensor:
    """Whether a site is told of a source, by derivatives; ``later_rows`` leaves the kernels of the first row in."""
    frontier, sites = frontier_of(shape), space_of(shape).num_sites
    if not later_rows:
        torch.nn.init.zeros_(frontier.first_row_kernel)
    inputs = torch.ones(sites, 1, 1).requires_grad_()
    units = frontier(inputs, torch.zeros(sites, 3))
    return torch.stack([torch.autograd.grad(u.sum(), inputs, retain_graph=True)[0].flatten() != 0 for u in units])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_site_is_told_of_the_last_row_of_sites_and_of_the_first(shape: tuple[int, ...]) -> None:
    site = torch.arange(space_of(shape).num_sites)
    row = len(site) if len(shape) == 1 and shape[0] <= LONGEST_ROW else len(site) // shape[0]
    distance = site[:, None] - site[None]
    window = (distance > 0) & (distance <= row)
    assert torch.equal(seen(shape, later_rows=False), window)
    assert torch.equal(seen(shape, later_rows=True), window | ((site[None] < row) & (site[:, None] >= row)))


def test_equal_distances_have_equal_kernels_but_above_and_beside_differ() -> None:
    frontier = frontier_of((3, 4))
    torch.nn.init.zeros_(frontier.first_row_kernel)
    inputs = torch.eye(12).unsqueeze(1)  # one source in each column of the batch
    units = frontier(inputs, torch.zeros(12, 3)).view(3, 4, 3, 3, 4)  # row, column, unit, row and column of the source
    assert torch.equal(units[1, 2, :, 1, 1], units[2, 3, :, 2, 2])  # one to the left
    assert torch.equal(units[1, 2, :, 0, 2], units[2, 0, :, 1, 0])  # straight above
    assert torch.equal(units[1, 0, :, 0, 3], units[2, 0, :, 1, 3])  # to the left, around the corner: a row above
    assert not torch.equal(units[1, 2, :, 1, 1], units[1, 0, :, 0, 3])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sweep_is_the_forward_pass(shape: tuple[int, ...]) -> None:
    frontier, generator = frontier_of(shape), torch.Generator().manual_seed(3)
    sites = space_of(shape).num_sites
    x, constant = torch.randn(sites, 1, 6, generator=generator), torch.randn(sites, 3, generator=generator)
    with torch.no_grad():
        expected = frontier(x, constant)
        inputs = torch.full_like(x, torch.nan)  # what is not known yet must not be read
        sweep = FrontierSweep(frontier.packed(), constant, inputs)
        for site in range(sites):
            torch.testing.assert_close(sweep.advance(site), expected[site])
            inputs[site] = x[site]
