"""Convolutions over several channels of a small periodic plane."""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from zoo.nn.conditioning import Features, Modulation, modulated_columns
from zoo.nn.dense import FIRST_OUTPUT_SCALE
from zoo.nn.weights import normal_parameter


@final
@dataclass(frozen=True)
class PlaneShape:
    """Channels that go in and come out, the hidden layers between, and the places that the first of them sees."""

    inputs: int
    outputs: int
    width: int
    depth: int
    kernel: int = 3


@final
class PlaneConvolution(nn.Module):
    """Layers h' = silu(W h + b), the first a convolution of ``kernel`` places along both axes that wraps around.

    The others, and the linear one after them, act at every place alone.  Channels are the first axis and the batch
    follows, so that a layer is one product of matrices; features scale and shift every hidden channel.
    """

    def __init__(self, shape: PlaneShape, generator: torch.Generator, *, conditional: bool) -> None:
        super().__init__()
        self.shape = shape
        sizes = [shape.inputs * shape.kernel**2] + [shape.width] * shape.depth
        self.weights = nn.ParameterList(
            normal_parameter((fan_out, fan_in), fan_in**-0.5, generator) for fan_in, fan_out in pairwise(sizes)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(shape.width)) for _ in range(shape.depth))
        self.modulations = nn.ModuleList(Modulation(shape.width) for _ in range(shape.depth if conditional else 0))
        first = FIRST_OUTPUT_SCALE * shape.width**-0.5
        self.output_weight = normal_parameter((shape.outputs, shape.width), first, generator)
        self.output_bias = nn.Parameter(torch.zeros(shape.outputs))

    def forward(
        self, y: Float[Tensor, "channel batch first second"], features: Features = None
    ) -> Float[Tensor, "batch output place"]:
        """The outputs at every place, places in raster order."""
        batch = y.shape[1]
        h = self._neighbourhoods(y).flatten(1)
        for layer, weight in enumerate(self.weights):
            h = torch.addmm(self.biases[layer][:, None], weight, h)
            if features is not None and self.modulations:
                modulated = modulated_columns(self.modulations[layer], features)
                by_row = h.view(len(h), batch, -1)
                h = torch.addcmul(modulated.shift[:, :, None], by_row, modulated.scale[:, :, None]).flatten(1)
            h = silu(h)
        outputs = torch.addmm(self.output_bias[:, None], self.output_weight, h)
        return outputs.view(self.shape.outputs, batch, -1).transpose(0, 1)

    def _neighbourhoods(self, y: Float[Tensor, "channel batch first second"]) -> Tensor:
        """The channels of every place and its neighbours, one neighbour after the other."""
        if self.shape.kernel == 1:
            return y
        steps = range(-(self.shape.kernel // 2), self.shape.kernel // 2 + 1)
        return torch.cat([y.roll((up, left), (2, 3)) for up in steps for left in steps])
