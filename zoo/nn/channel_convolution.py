"""Convolutional conditioners between the channels of a periodic lattice."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from zoo.nn.conditioner import Conditioner
from zoo.nn.conditioning import Features, Modulation
from zoo.nn.dense import FIRST_OUTPUT_SCALE
from zoo.nn.periodic_convolution import CONVOLUTIONS
from zoo.nn.weights import normal_parameter


@final
@dataclass(frozen=True)
class ChannelShape:
    """A lattice, its channels that are frozen and active, the parameters of each variable, and the hidden layers."""

    lattice: tuple[int, ...]
    frozen: int
    active: int
    parameters: int
    width: int
    depth: int
    kernel: int = 3


@final
class ChannelConvolution(Conditioner):
    """Convolutions h' = silu(W * h + b) that wrap around, from the frozen channels to parameters of the active ones.

    The first and the last are ``kernel`` sites wide along every axis, those between act at every site alone; features
    scale and shift every hidden channel.  Variables are one channel after the other.

    Source: the networks of Kingma, Dhariwal, arXiv:1807.03039, on a torus.
    """

    def __init__(self, shape: ChannelShape, generator: torch.Generator, *, conditional: bool) -> None:
        super().__init__()
        self.shape = shape
        dimension = len(shape.lattice)
        kernels = [shape.kernel] + [1] * (shape.depth - 1)
        channels = [shape.frozen] + [shape.width] * shape.depth
        self.weights = nn.ParameterList(
            normal_parameter((out, into, *[side] * dimension), (into * side**dimension) ** -0.5, generator)
            for (into, out), side in zip(pairwise(channels), kernels, strict=True)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(shape.width)) for _ in range(shape.depth))
        self.modulations = nn.ModuleList(Modulation(shape.width) for _ in range(shape.depth if conditional else 0))
        outputs = (shape.parameters * shape.active, shape.width, *[shape.kernel] * dimension)
        first = FIRST_OUTPUT_SCALE * (shape.width * shape.kernel**dimension) ** -0.5
        self.output_weight = normal_parameter(outputs, first, generator)
        self.output_bias = nn.Parameter(torch.zeros(shape.parameters * shape.active))

    def forward(
        self, y: Float[Tensor, "batch frozen"], features: Features = None
    ) -> Float[Tensor, "row parameter active"]:
        """p(y), shape (batch, parameter, active channels x sites)."""
        h = y.reshape(len(y), self.shape.frozen, *self.shape.lattice)
        for layer, weight in enumerate(self.weights):
            h = _convolved(h, weight, self.biases[layer])
            if features is not None and self.modulations:
                scale, shift = self.modulations[layer](features)
                ones = [1] * len(self.shape.lattice)
                h = torch.addcmul(shift.view(*shift.shape, *ones), h, scale.view(*scale.shape, *ones))
            h = silu(h)
        p = _convolved(h, self.output_weight, self.output_bias)
        return p.reshape(len(y), self.shape.parameters, self.shape.active * prod(self.shape.lattice))


def _convolved(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    dimension, half = h.ndim - 2, (weight.shape[-1] - 1) // 2
    wrapped = pad(h, [half] * (2 * dimension), mode="circular") if half else h
    return CONVOLUTIONS[dimension](wrapped, weight, bias)
