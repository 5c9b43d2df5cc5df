"""Dense layers as one step, against the same layers operation by operation."""

from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear, relu, silu

from zoo.nn.dense_layers import dense_layers
from zoo.nn.scratch import scratch
from zoo.nn.weights import generator_of
from zoo.specs.models.flow import Activation

FUNCTIONS = {"silu": silu, "relu": relu}
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}
every_activation = pytest.mark.parametrize("activation", get_args(Activation))


def layers(sizes: Sequence[int], dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor]]:
    """Random weights and biases that ask for gradients."""
    generator = generator_of(1)
    shapes = [(fan_out, fan_in) for fan_in, fan_out in pairwise(sizes)]
    weights = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    biases = [torch.randn(fan_out, generator=generator, dtype=dtype) for fan_out, _ in shapes]
    return [w.requires_grad_() for w in weights], [b.requires_grad_() for b in biases]


def plain(y: Tensor, weights: list[Tensor], biases: list[Tensor], activation: Activation) -> Tensor:
    """One operation after the other."""
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        y = FUNCTIONS[activation](linear(y, weight, bias))
    return linear(y, weights[-1], biases[-1])


@every_activation
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("sizes", [(3, 5, 4), (3, 5, 5, 5, 2), (4, 7, 3, 6, 2), (2, 3)])
@pytest.mark.parametrize("rows", [0, 1, 9])
def test_values_and_gradients_are_those_of_separate_operations(
    activation: Activation, dtype: torch.dtype, sizes: tuple[int, ...], rows: int
) -> None:
    weights, biases = layers(sizes, dtype)
    y = torch.randn(rows, sizes[0], generator=generator_of(2), dtype=dtype, requires_grad=True)
    seen = torch.randn(rows, sizes[-1], generator=generator_of(3), dtype=dtype)
    found, expected = (step(y, weights, biases, activation) for step in (dense_layers, plain))
    inputs = [y, *weights, *biases]
    gradients = [torch.autograd.grad((seen * output).sum(), inputs) for output in (found, expected)]
    with torch.no_grad():
        without_gradients = dense_layers(y, weights, biases, activation)
    for a, b in zip([found, without_gradients, *gradients[0]], [expected, expected, *gradients[1]], strict=True):
        torch.testing.assert_close(a, b, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


@every_activation
def test_two_steps_do_not_disturb_each_other(activation: Activation) -> None:
    weights, biases = layers((3, 6, 6, 3))
    y = torch.randn(4, 3, generator=generator_of(2), dtype=torch.float64, requires_grad=True)
    twice = [step(step(y, weights, biases, activation), weights, biases, activation) for step in (dense_layers, plain)]
    found, expected = (torch.autograd.grad(output.square().sum(), [y, *weights], retain_graph=True) for output in twice)
    again = torch.autograd.grad(twice[0].square().sum(), [y, *weights])
    for a, b, c in zip(found, expected, again, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        assert torch.equal(a, c)


@every_activation
def test_gradients_of_the_input_alone(activation: Activation) -> None:
    weights, biases = layers((3, 6, 3))
    fixed = [w.detach() for w in weights], [b.detach() for b in biases]
    y = torch.randn(4, 3, generator=generator_of(2), dtype=torch.float64, requires_grad=True)
    found, expected = (
        torch.autograd.grad(step(y, *fixed, activation).square().sum(), y)[0] for step in (dense_layers, plain)
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@every_activation
def test_derivatives_of_derivatives(activation: Activation) -> None:
    weights, biases = layers((3, 6, 5, 3))
    y = torch.randn(4, 3, generator=generator_of(2), dtype=torch.float64, requires_grad=True)
    inputs = [y, *weights, *biases[:-1]]
    seconds = []
    for step in (dense_layers, plain):
        (first,) = torch.autograd.grad(step(y, weights, biases, activation).square().sum(), y, create_graph=True)
        seconds.append(torch.autograd.grad(first.square().sum(), inputs))
    for a, b in zip(*seconds, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_scratch_is_one_array_for_each_name_that_gradients_may_be_written_to() -> None:
    like = torch.zeros(1)
    with torch.inference_mode():
        first = scratch("one", (2, 3), like)
    assert scratch("one", (2, 3), like) is first
    assert scratch("two", (2, 3), like) is not first
    assert scratch("one", (3, 3), like).shape == (3, 3)
    assert scratch("one", (3, 3), like.double()).dtype == torch.float64
    torch.add(like.expand(2, 3), 1, out=first)
    assert first.sum() == 6
