"""Dense layers with a function of every unit between them, as one differentiable step."""

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, silu

from zoo.nn.scratch import scratch
from zoo.specs.models.flow import Activation

_HAS_FUSED = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]

FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"silu": silu, "relu": relu}

Weights = Sequence[Float[Tensor, "out in"]]
Biases = Sequence[Float[Tensor, " out"]]


def dense_layers(
    y: Float[Tensor, "batch in"], weights: Weights, biases: Biases, activation: Activation
) -> Float[Tensor, "batch out"]:
    """W_n h_n + b_n with h_(l+1) = g(W_l h_l + b_l) and h_0 = ``y``.

    What the way back needs is kept, one array for each layer, and nothing else: memory that is written once is what
    separate operations spend most of their time on.
    """
    if torch.is_grad_enabled():
        found: Tensor = _DenseLayers.apply(y, activation, len(weights), *weights, *biases)  # type: ignore[no-untyped-call]
        return found
    hidden = y
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = _linear(hidden, weight, bias, activation)
        hidden = silu(hidden, inplace=True) if activation == "silu" else hidden
    return _linear(hidden, weights[-1], biases[-1])


@final
class _DenseLayers(torch.autograd.Function):
    """Keeps W h + b of every layer before silu, and relu(W h + b) after relu, whose derivative that tells, too."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, activation: Activation, number: int, *tensors: Tensor) -> Tensor:  # noqa: ANN401 - autograd's own
        weights, biases = tensors[:number], tensors[number:]
        kept: list[Tensor] = []
        hidden = y
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            kept.append(_linear(hidden, weight, bias, activation))
            hidden = _hidden(kept[-1], activation)
        ctx.activation, ctx.number = activation, number
        ctx.save_for_backward(y, *weights, *biases, *kept)
        return _linear(hidden, weights[-1], biases[-1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        number = ctx.number
        y, *tensors = ctx.saved_tensors
        weights, kept = tensors[:number], tensors[2 * number :]
        if torch.is_grad_enabled():  # derivatives of the derivatives will be asked for
            return _differentiable_backward(ctx, y, weights, tensors[number : 2 * number], gradient)
        of_weights: list[Tensor | None] = [None] * number
        of_biases: list[Tensor | None] = [None] * number
        learns = any(ctx.needs_input_grad[3:])
        for layer in reversed(range(number)):
            if learns:
                hidden = _hidden(kept[layer - 1], ctx.activation) if layer else y
                of_weights[layer], of_biases[layer] = torch.mm(gradient.t(), hidden), gradient.sum(0)
            if layer:
                out = scratch(f"gradient {layer % 2}", kept[layer - 1].shape, gradient)
                gradient = _times_slope(torch.mm(gradient, weights[layer], out=out), kept[layer - 1], ctx.activation)
        of_y = torch.mm(gradient, weights[0]) if ctx.needs_input_grad[0] else None
        return of_y, None, None, *of_weights, *of_biases


def _differentiable_backward(
    ctx: Any,  # noqa: ANN401
    y: Tensor,
    weights: list[Tensor],
    biases: list[Tensor],
    gradient: Tensor,
) -> tuple[Tensor | None, ...]:
    hidden = y
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = FUNCTIONS[ctx.activation](torch.addmm(bias, hidden, weight.t()))
    found = torch.addmm(biases[-1], hidden, weights[-1].t())
    inputs = [y, *weights, *biases]
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    gradients = iter(torch.autograd.grad(found, wanted, gradient, create_graph=True))
    of_y, *others = [next(gradients) if tensor.requires_grad else None for tensor in inputs]
    return of_y, None, None, *others


def _linear(
    hidden: Float[Tensor, "batch in"], weight: Tensor, bias: Tensor, activation: Activation | None = None
) -> Float[Tensor, "batch out"]:
    """W h + b, and relu of it where that is the ``activation``: in one pass where the processor's library has it."""
    if hidden.is_cpu and hidden.dtype == torch.float32 and hidden.numel() and _HAS_FUSED:
        then = "relu" if activation == "relu" else "none"
        found: Tensor = torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, then, [], "")
        return found
    found = torch.addmm(bias, hidden, weight.t())
    return torch.relu_(found) if activation == "relu" else found


def _hidden(kept: Tensor, activation: Activation) -> Tensor:
    """The h of a layer, from what is kept of it; in memory that the next call overwrites."""
    if activation == "relu":
        return kept
    found: Tensor = torch.ops.aten.silu.out(kept, out=scratch("hidden", kept.shape, kept))
    return found


def _times_slope(gradient: Tensor, kept: Tensor, activation: Activation) -> Tensor:
    """``gradient`` times g', in place."""
    if activation == "relu":
        torch.ops.aten.threshold_backward.grad_input(gradient, kept, 0, grad_input=gradient)
    else:
        torch.ops.aten.silu_backward.grad_input(gradient, kept, grad_input=gradient)
    return gradient
