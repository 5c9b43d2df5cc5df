"""Dense conditioners: every parameter sees every frozen variable."""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.nn.activations import activated
from zoo.nn.conditioner import Conditioner, Parity
from zoo.nn.conditioning import Features, Modulation
from zoo.nn.weights import normal_parameter
from zoo.specs.models.flow import Activation

_HAS_FUSED = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]
_LARGE = 2**20  # numbers, 4 MiB: less stays in the caches

FIRST_OUTPUT_SCALE = 0.01
"""Size of a conditioner's first outputs for hidden units of order 1: the maps begin near the identity."""


@final
@dataclass(frozen=True)
class DenseShape:
    """How many variables go in and come out, with how many parameters each, and the hidden layers between."""

    frozen: int
    active: int
    parameters: int
    width: int
    depth: int
    activation: Activation = "silu"


@final
class DenseConditioner(Conditioner):
    """Layers h' = g(W h + b) and a linear one after them; features scale and shift every hidden unit.

    With a ``parity`` the network is h' = tanh(W h), without biases and hence odd, and its last layer sees h and h^2,
    projected on what the parity allows; features then only scale.
    """

    def __init__(
        self, shape: DenseShape, generator: torch.Generator, *, conditional: bool, parity: Parity | None = None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.parity = parity
        sizes = [shape.frozen] + [shape.width] * shape.depth
        self.weights = nn.ParameterList(
            normal_parameter((fan_out, fan_in), max(fan_in, 1) ** -0.5, generator)
            for fan_in, fan_out in pairwise(sizes)
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(shape.width)) for _ in range(0 if parity else shape.depth)
        )
        self.modulations = nn.ModuleList(Modulation(shape.width) for _ in range(shape.depth if conditional else 0))
        outputs = (shape.parameters, shape.active, shape.width)
        first = FIRST_OUTPUT_SCALE * shape.width**-0.5
        self.output_weight = normal_parameter(outputs, first, generator)
        has_even = parity is not None and not parity.is_odd
        self.output_even = normal_parameter(outputs, first, generator) if has_even else None
        has_bias = parity is None or has_even
        self.output_bias = nn.Parameter(torch.zeros(shape.parameters, shape.active)) if has_bias else None

    def forward(
        self, y: Float[Tensor, "batch frozen"], features: Features = None
    ) -> Float[Tensor, "row parameter active"]:
        """p(y), shape (batch, parameter, active)."""
        return self._network(y, features).view(len(y), self.shape.parameters, self.shape.active)

    def _network(self, y: Float[Tensor, "batch frozen"], features: Features) -> Float[Tensor, "batch output"]:
        h = y
        for layer, weight in enumerate(self.weights):
            h = torch.mm(h, weight.t()) if self.parity else torch.addmm(self.biases[layer], h, weight.t())
            if features is not None and self.modulations:
                scale, shift = self.modulations[layer](features)
                h = h * scale if self.parity else torch.addcmul(shift, h, scale)
            h = torch.tanh(h) if self.parity else activated(h, self.shape.activation)
        return self._output(h)

    def _output(self, h: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch output"]:
        weight: Tensor = self.output_weight
        bias: Tensor | None = self.output_bias
        if bias is None:
            return torch.mm(h, weight.flatten(0, 1).t())
        if self.parity is not None and self.output_even is not None:
            weight = torch.cat([self.parity.even(self.output_even), self.parity.odd(weight)], 2)
            bias = self.parity.even(bias)
            h = torch.cat([h * h, h], 1)
        return _linear(h, weight.flatten(0, 1), bias.flatten())


def _linear(
    h: Float[Tensor, "batch hidden"], weight: Float[Tensor, "output hidden"], bias: Float[Tensor, " output"]
) -> Float[Tensor, "batch output"]:
    """W h + b; large results in one pass where the processor's library has it: else the bias takes one of its own."""
    plain = torch.is_grad_enabled() or not h.is_cpu or h.dtype != torch.float32 or not _HAS_FUSED
    if plain or len(h) * len(weight) < _LARGE:
        return torch.addmm(bias, h, weight.t())
    found: Tensor = torch.ops.mkldnn._linear_pointwise(h, weight, bias, "none", [], "")
    return found
