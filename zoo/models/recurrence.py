"""Gated recurrent cells on whole configurations: the states of all sites, with a gradient of their own.

The batch is the last axis and every step works in place, as in sampling.  Left to automatic differentiation, each step
would save a dozen tensors and add slices of the gradient into zeros; here it saves five and writes each slice once.
"""

from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


def chain_states(
    given: Float[Tensor, "site gate batch"], weight: Float[Tensor, "gate unit"], bias: Float[Tensor, " unit"]
) -> Float[Tensor, "site unit batch"]:
    """States h_i = n + z (h_{i-1} - n), n = tanh(a_n + r m), m = U_n h_{i-1} + b, with r, z = sigmoid(a + U h_{i-1}).

    ``given`` is a = (a_r, a_z, a_n) of every site, ``weight`` is U, and the state before the first site is zero.
    """
    states: Tensor = _Chain.apply(given, weight, bias)  # type: ignore[no-untyped-call]
    return states


def lattice_states(
    given: Float[Tensor, "site gate batch"],
    weight: Float[Tensor, "gate previous"],
    bias: Float[Tensor, " unit"],
    columns: int,
) -> Float[Tensor, "site unit batch"]:
    """States h = n + z (c - n), c = y h_left + (1 - y) h_up, with r, z, y = sigmoid(a + U (h_left, h_up)), n as above.

    ``given`` is a = (a_r, a_z, a_y, a_n) of every site in raster order; states off the lattice are zero.
    """
    states: Tensor = _Lattice.apply(given, weight, bias, columns)  # type: ignore[no-untyped-call]
    return states


@final
class _Chain(Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        width = weight.shape[1]
        gates, memory = given.clone(), given.new_empty(len(given), width, given.shape[2])
        states = given.new_zeros(len(given) + 1, width, given.shape[2])
        column = bias.unsqueeze(1)
        for site, (a, m) in enumerate(zip(gates, memory, strict=True)):
            hidden = states[site]
            a[: 2 * width].addmm_(weight[: 2 * width], hidden).sigmoid_()
            torch.addmm(column, weight[2 * width :], hidden, out=m)
            a[2 * width :].addcmul_(a[:width], m).tanh_()
            torch.lerp(a[2 * width :], hidden, a[width : 2 * width], out=states[site + 1])
        ctx.save_for_backward(weight, gates, memory, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401 - torch's context
        weight, gates, memory, states = ctx.saved_tensors
        width = weight.shape[1]
        in_given = torch.empty_like(gates)
        in_weight, in_bias = torch.zeros_like(weight), weight.new_zeros(width)
        in_product = torch.empty_like(gates[0])
        carried = torch.zeros_like(states[0])
        for site in range(len(gates) - 1, -1, -1):
            hidden, (reset, update, new) = states[site], torch.split(gates[site], width)
            total = carried.add_(gradient[site])
            out_reset, out_update, out_new = torch.split(in_given[site], width)
            _new_and_update(total, hidden - new, update, new, out_update, out_new)
            _reset(out_new, memory[site], reset, out_reset, in_product[2 * width :])
            in_product[: 2 * width] = in_given[site, : 2 * width]
            in_weight.addmm_(in_product, hidden.t())
            in_bias += in_product[2 * width :].sum(1)
            carried = torch.addmm(total * update, weight.t(), in_product)
        return in_given, in_weight, in_bias


@final
class _Lattice(Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's context
        given: Tensor,
        weight: Tensor,
        bias: Tensor,
        columns: int,
    ) -> Tensor:
        width, batch = len(bias), given.shape[2]
        gates, memory = given.clone(), given.new_empty(len(given), width, batch)
        # the first row and column are off the lattice
        states = given.new_zeros(len(given) // columns + 1, columns + 1, width, batch)
        of_left, of_up, shift = weight[:, :width], weight[:, width:], bias.unsqueeze(1)
        for site, (a, m) in enumerate(zip(gates, memory, strict=True)):
            row, column = divmod(site, columns)
            left, up = states[row + 1, column], states[row, column + 1]
            a[: 3 * width].addmm_(of_left[: 3 * width], left).addmm_(of_up[: 3 * width], up).sigmoid_()
            torch.addmm(shift, of_left[3 * width :], left, out=m).addmm_(of_up[3 * width :], up)
            reset, update, side, new = torch.split(a, width)
            new.addcmul_(reset, m).tanh_()
            torch.lerp(new, torch.lerp(up, left, side), update, out=states[row + 1, column + 1])
        ctx.save_for_backward(weight, gates, memory, states)
        return states[1:, 1:].flatten(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401 - torch's context
        weight, gates, memory, states = ctx.saved_tensors
        width, columns = memory.shape[1], states.shape[1] - 1
        of_left, of_up = weight[:, :width], weight[:, width:]
        in_given, in_states = torch.empty_like(gates), torch.zeros_like(states)
        in_states[1:, 1:] = gradient.view_as(in_states[1:, 1:])
        in_weight, in_bias = torch.zeros_like(weight), weight.new_zeros(width)
        in_product = torch.empty_like(gates[0])
        for site in range(len(gates) - 1, -1, -1):
            row, column = divmod(site, columns)
            left, up, total = states[row + 1, column], states[row, column + 1], in_states[row + 1, column + 1]
            reset, update, side, new = torch.split(gates[site], width)
            out_reset, out_update, out_side, out_new = torch.split(in_given[site], width)
            mean = torch.lerp(up, left, side)
            _new_and_update(total, mean - new, update, new, out_update, out_new)
            _reset(out_new, memory[site], reset, out_reset, in_product[3 * width :])
            in_mean = total * update
            _sigmoid_backward(in_mean * (left - up), side, grad_input=out_side)
            in_product[: 3 * width] = in_given[site, : 3 * width]
            in_weight[:, :width].addmm_(in_product, left.t())
            in_weight[:, width:].addmm_(in_product, up.t())
            in_bias += in_product[3 * width :].sum(1)
            in_states[row + 1, column].addcmul_(in_mean, side).addmm_(of_left.t(), in_product)
            in_states[row, column + 1].addcmul_(in_mean, 1 - side).addmm_(of_up.t(), in_product)
        return in_given, in_weight, in_bias, None


def _new_and_update(
    total: Tensor, difference: Tensor, update: Tensor, new: Tensor, out_update: Tensor, out_new: Tensor
) -> None:
    """What the gradient ``total`` of h = n + z (c - n) gives to a_z and a_n; ``difference`` is c - n."""
    _sigmoid_backward(total * difference, update, grad_input=out_update)
    _tanh_backward(torch.addcmul(total, total, update, value=-1), new, grad_input=out_new)


def _reset(in_new: Tensor, memory: Tensor, reset: Tensor, out_reset: Tensor, out_memory: Tensor) -> None:
    """What the gradient of a_n + r m gives to a_r and to m."""
    _sigmoid_backward(in_new * memory, reset, grad_input=out_reset)
    torch.mul(in_new, reset, out=out_memory)
