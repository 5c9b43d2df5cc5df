"""Masked dense conditioners: a variable's parameters depend on all variables before it and on no later one."""

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble
from tests.zoo.nn.derivatives import derivatives
from zoo.nn.conditioning import FEATURES
from zoo.nn.masked_dense_conditioner import MaskedDenseConditioner, MaskedShape
from zoo.nn.weights import generator_of


def conditioner(sites: int, depth: int = 2, *, conditional: bool = False) -> MaskedDenseConditioner:
    shape = MaskedShape(sites, parameters=3, linear=1, width=11, depth=depth)
    network = MaskedDenseConditioner(shape, generator_of(0), conditional=conditional)
    scramble(network)
    return network.double()


def dependence(network: MaskedDenseConditioner) -> Tensor:
    """Entry (p, i, j): whether parameter p of variable i changes with variable j."""
    y = torch.randn(network.shape.sites, generator=generator_of(1), dtype=torch.float64)
    slopes = derivatives(lambda y: network(y).flatten(1), y[None])[0]
    return slopes.view(network.shape.parameters, *[network.shape.sites] * 2) != 0


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("sites", [1, 2, 6])
def test_a_variable_sees_all_earlier_ones_and_no_other(sites: int, depth: int) -> None:
    seen = dependence(conditioner(sites, depth))
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))


def test_a_mask_that_shows_a_variable_to_itself_is_caught() -> None:
    network = conditioner(6)
    network._output_mask.fill_(1)
    assert bool(dependence(network).diagonal(dim1=1, dim2=2).any())


def test_only_the_last_parameters_grow_without_bound() -> None:
    network, y = conditioner(6), torch.randn(4, 6, generator=generator_of(2), dtype=torch.float64)
    near, far = network(1e6 * y), network(1e9 * y)
    assert torch.allclose(near[:, :2], far[:, :2])
    assert float((far[:, 2, 1:] / near[:, 2, 1:]).detach().mean()) == pytest.approx(1000, rel=1e-3)


def test_features_reach_every_variable_even_the_first() -> None:
    network = conditioner(4, conditional=True)
    y = torch.zeros(1, 4, dtype=torch.float64)
    features = torch.randn(2, FEATURES, generator=generator_of(3), dtype=torch.float64)
    first, second = network(y, features[:1]), network(y, features[1:])
    assert bool(((first - second).abs() > 1e-6).all())


def test_units_are_sorted_by_what_they_see() -> None:
    network = conditioner(6)
    for site, units in enumerate(network.units_before):
        seen = network.masked_weights().hidden[0][:units] != 0
        assert not bool(seen[:, site:].any())
    assert network.units_before[0] == 0
    assert network.units_before[-1] == network.shape.width
