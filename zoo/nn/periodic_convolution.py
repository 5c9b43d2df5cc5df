"""Convolutional conditioners on periodic lattices: what they do does not depend on where."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, conv3d, pad, silu

from zoo.nn.conditioner import Conditioner, Parity
from zoo.nn.conditioning import Features, Modulation
from zoo.nn.dense import FIRST_OUTPUT_SCALE
from zoo.nn.weights import normal_parameter

CONVOLUTIONS = {1: conv1d, 2: conv2d, 3: conv3d}


@final
@dataclass(frozen=True)
class ConvolutionShape:
    """A lattice, the sites that are frozen and active, the parameters of each active one, and the hidden layers."""

    lattice: tuple[int, ...]
    frozen: Int[Tensor, " frozen"]
    active: Int[Tensor, " active"]
    parameters: int
    width: int
    depth: int
    kernel: int = 3


@final
class PeriodicConvolution(Conditioner):
    """Convolutions h' = g(W * h + b) on the lattice where active sites hold 0, read off at the active sites.

    Kernels are ``kernel`` sites wide along every axis and wrap around.  With a ``parity`` g = tanh, there are no biases
    but that of the even part, and the last layer sees h and h^2; see ``DenseConditioner``.
    """

    def __init__(
        self, shape: ConvolutionShape, generator: torch.Generator, *, conditional: bool, parity: Parity | None = None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.parity = parity
        self.register_buffer("_frozen", shape.frozen, persistent=False)
        self.register_buffer("_active", shape.active, persistent=False)
        kernel = (shape.kernel,) * len(shape.lattice)
        taps = prod(kernel)
        channels = [1] + [shape.width] * shape.depth
        self.weights = nn.ParameterList(
            normal_parameter((out, into, *kernel), (into * taps) ** -0.5, generator) for into, out in pairwise(channels)
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(shape.width)) for _ in range(0 if parity else shape.depth)
        )
        self.modulations = nn.ModuleList(Modulation(shape.width) for _ in range(shape.depth if conditional else 0))
        outputs = (shape.parameters, shape.width, *kernel)
        first = FIRST_OUTPUT_SCALE * (shape.width * taps) ** -0.5
        self.output_weight = normal_parameter(outputs, first, generator)
        has_even = parity is not None and not parity.is_odd
        self.output_even = normal_parameter(outputs, first, generator) if has_even else None
        has_bias = parity is None or has_even
        self.output_bias = nn.Parameter(torch.zeros(shape.parameters)) if has_bias else None

    _frozen: Tensor
    _active: Tensor

    def forward(
        self, y: Float[Tensor, "batch frozen"], features: Features = None
    ) -> Float[Tensor, "row parameter active"]:
        """p(y), shape (batch, parameter, active)."""
        h = y.new_zeros(len(y), prod(self.shape.lattice)).index_copy(1, self._frozen, y)
        h = h.view(len(y), 1, *self.shape.lattice)
        for layer, weight in enumerate(self.weights):
            h = self._convolved(h, weight, None if self.parity else self.biases[layer])
            if features is not None and self.modulations:
                scale, shift = (_per_channel(part, h) for part in self.modulations[layer](features))
                h = h * scale if self.parity else torch.addcmul(shift, h, scale)
            h = torch.tanh(h) if self.parity else silu(h)
        return self._output(h).flatten(2).index_select(2, self._active)

    def _output(self, h: Float[Tensor, "batch channel *lattice"]) -> Float[Tensor, "batch parameter *lattice"]:
        weight: Tensor = self.output_weight
        bias: Tensor | None = self.output_bias
        if self.parity is not None and self.output_even is not None and bias is not None:
            weight = torch.cat([self.parity.even(self.output_even), self.parity.odd(weight)], 1)
            bias = self.parity.even(bias)
            h = torch.cat([h * h, h], 1)
        return self._convolved(h, weight, bias)

    def _convolved(self, h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        dimension = h.ndim - 2
        half = (self.shape.kernel - 1) // 2
        wrapped = pad(h, [half] * (2 * dimension), mode="circular")
        return CONVOLUTIONS[dimension](wrapped, weight, bias)


def _per_channel(rows: Float[Tensor, "row channel"], like: Tensor) -> Tensor:
    """``rows`` in the shape that scales and shifts the channels of a batch of lattices."""
    return rows.view(*rows.shape, *[1] * (like.ndim - 2))


def is_convolvable(lattice: Sequence[int], kernel: int) -> bool:
    """Whether a kernel fits into the lattice without meeting itself beyond a neighbour's wrap."""
    return len(lattice) in CONVOLUTIONS and all(side >= (kernel - 1) // 2 for side in lattice)
