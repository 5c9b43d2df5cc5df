"""Convolutional conditioners on periodic lattices: what they do does not depend on where."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, conv3d, one_hot, pad

from zoo.nn.activations import activated
from zoo.nn.conditioner import Conditioner, Parity
from zoo.nn.conditioning import Features, Modulation
from zoo.nn.dense import FIRST_OUTPUT_SCALE
from zoo.nn.weights import normal_parameter
from zoo.specs.models.flow import Activation

CONVOLUTIONS = {1: conv1d, 2: conv2d, 3: conv3d}

_SITES_PER_TAP = 16
"""Lattices of up to so many sites for each tap of a kernel are written out as matrices."""


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
    activation: Activation = "silu"


@final
class PeriodicConvolution(Conditioner):
    """Convolutions h' = g(W * h + b) on the lattice where active sites hold 0, read off at the active sites.

    Kernels are ``kernel`` sites wide along every axis and wrap around.  With a ``parity`` g = tanh, there are no biases
    but that of the even part, and the last layer sees h and h^2; see ``DenseConditioner``.

    On small lattices kernels are written out as matrices between the sites that matter, W = sum_t K_t T_t: one product
    for each layer is several times as fast there as a convolution, backwards above all.
    """

    def __init__(
        self, shape: ConvolutionShape, generator: torch.Generator, *, conditional: bool, parity: Parity | None = None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.parity = parity
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
        kind = _Matrices if prod(shape.lattice) <= _SITES_PER_TAP * taps else _Convolutions
        self.layers: _Layers = kind(shape)

    def forward(
        self, y: Float[Tensor, "batch frozen"], features: Features = None
    ) -> Float[Tensor, "row parameter active"]:
        """p(y), shape (batch, parameter, active)."""
        h = y.unsqueeze(1)
        for layer, weight in enumerate(self.weights):
            bias = None if self.parity else self.biases[layer]
            h = self.layers.first(h, weight, bias) if layer == 0 else self.layers.inner(h, weight, bias)
            if features is not None and self.modulations:
                scale, shift = (rows.unsqueeze(2) for rows in self.modulations[layer](features))
                h = h * scale if self.parity else torch.addcmul(shift, h, scale)
            h = torch.tanh(h) if self.parity else activated(h, self.shape.activation)
        return self._output(h)

    def _output(self, h: Float[Tensor, "batch channel site"]) -> Float[Tensor, "batch parameter active"]:
        weight: Tensor = self.output_weight
        bias: Tensor | None = self.output_bias
        if self.parity is not None and self.output_even is not None and bias is not None:
            weight = torch.cat([self.parity.even(self.output_even), self.parity.odd(weight)], 1)
            bias = self.parity.even(bias)
            h = torch.cat([h * h, h], 1)
        return self.layers.last(h, weight, bias)


class _Layers(nn.Module, ABC):
    """The linear parts: from the frozen sites to all, from all to all, and from all to the active ones."""

    @abstractmethod
    def first(self, h: Float[Tensor, "batch 1 frozen"], weight: Tensor, bias: Tensor | None) -> Tensor:
        """Channels at all sites from the values of the frozen ones."""

    @abstractmethod
    def inner(self, h: Float[Tensor, "batch channel site"], weight: Tensor, bias: Tensor | None) -> Tensor:
        """Channels at all sites from channels at all sites."""

    @abstractmethod
    def last(self, h: Float[Tensor, "batch channel site"], weight: Tensor, bias: Tensor | None) -> Tensor:
        """Parameters of the active sites from channels at all sites."""


@final
class _Convolutions(_Layers):
    def __init__(self, shape: ConvolutionShape) -> None:
        super().__init__()
        self.lattice, self.kernel = shape.lattice, shape.kernel
        self.register_buffer("_frozen", shape.frozen, persistent=False)
        self.register_buffer("_active", shape.active, persistent=False)

    _frozen: Tensor
    _active: Tensor

    def first(self, h: Float[Tensor, "batch 1 frozen"], weight: Tensor, bias: Tensor | None) -> Tensor:
        everywhere = h.new_zeros(len(h), 1, prod(self.lattice)).index_copy(2, self._frozen, h)
        return self.inner(everywhere, weight, bias)

    def inner(self, h: Float[Tensor, "batch channel site"], weight: Tensor, bias: Tensor | None) -> Tensor:
        dimension = len(self.lattice)
        half = (self.kernel - 1) // 2
        wrapped = pad(h.view(*h.shape[:2], *self.lattice), [half] * (2 * dimension), mode="circular")
        return CONVOLUTIONS[dimension](wrapped, weight, bias).flatten(2)

    def last(self, h: Float[Tensor, "batch channel site"], weight: Tensor, bias: Tensor | None) -> Tensor:
        return self.inner(h, weight, bias).index_select(2, self._active)


@final
class _Matrices(_Layers):
    def __init__(self, shape: ConvolutionShape) -> None:
        super().__init__()
        between = translations(shape.lattice, shape.kernel)
        self.register_buffer("_first", between[:, :, shape.frozen], persistent=False)
        self.register_buffer("_inner", between, persistent=False)
        self.register_buffer("_last", between[:, shape.active], persistent=False)

    _first: Tensor
    _inner: Tensor
    _last: Tensor

    def first(self, h: Float[Tensor, "batch 1 frozen"], weight: Tensor, bias: Tensor | None) -> Tensor:
        return _product(h, weight, bias, self._first)

    def inner(self, h: Float[Tensor, "batch channel site"], weight: Tensor, bias: Tensor | None) -> Tensor:
        return _product(h, weight, bias, self._inner)

    def last(self, h: Float[Tensor, "batch channel site"], weight: Tensor, bias: Tensor | None) -> Tensor:
        return _product(h, weight, bias, self._last)


def translations(lattice: Sequence[int], kernel: int) -> Float[Tensor, "tap site site"]:
    """T_t of every tap t of a kernel: T_t[i, j] = 1 where site j is the tap's neighbour of site i, periodic."""
    index = torch.arange(prod(lattice)).reshape(tuple(lattice))
    half = (kernel - 1) // 2
    axes = tuple(range(len(lattice)))
    steps = product(range(-half, half + 1), repeat=len(lattice))
    neighbours = torch.stack([index.roll([-step for step in by], axes).flatten() for by in steps])
    return one_hot(neighbours, prod(lattice)).float()


def _product(
    h: Float[Tensor, "batch into site_in"],
    weight: Float[Tensor, "out into *kernel"],
    bias: Tensor | None,
    between: Float[Tensor, "tap site_out site_in"],
) -> Float[Tensor, "batch out site_out"]:
    """sum_(c, j) W[(o, i), (c, j)] h_(c, j) with W = sum_t K_t T_t, and the bias of each channel."""
    taps, sites_out, sites_in = between.shape
    out, into = weight.shape[:2]
    matrix = weight.reshape(out * into, taps) @ between.reshape(taps, -1).to(weight.dtype)
    matrix = matrix.view(out, into, sites_out, sites_in).transpose(1, 2).reshape(out * sites_out, into * sites_in)
    found = torch.mm(h.flatten(1), matrix.t()).view(len(h), out, sites_out)
    return found if bias is None else found + bias[:, None]
