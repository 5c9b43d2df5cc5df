"""Functions of hidden units: values, derivatives, and no array where none is needed."""

from typing import get_args

import pytest
import torch
from torch.nn.functional import relu, silu

from zoo.nn.activations import activated
from zoo.specs.models.flow import Activation

FUNCTIONS = {"silu": silu, "relu": relu}


@pytest.mark.parametrize("activation", get_args(Activation))
def test_values_and_derivatives_are_those_of_the_function(activation: Activation) -> None:
    x = torch.linspace(-3, 3, 13, dtype=torch.float64, requires_grad=True)
    found, expected = activated(2 * x, activation), FUNCTIONS[activation](2 * x)
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(y.square().sum(), x, create_graph=True)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients)
    seconds = [torch.autograd.grad(gradient.square().sum(), x)[0] for gradient in gradients]
    torch.testing.assert_close(*seconds)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_without_gradients_nothing_new_is_made(activation: Activation) -> None:
    hidden = torch.linspace(-3, 3, 13)
    with torch.no_grad():
        assert activated(hidden, activation) is hidden
