"""Masked dense layers: a network that is autoregressive in the raster order of the event."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.core.spaces import Space
from zoo.models.site_network import Packed, SiteNetwork, Sweep
from zoo.models.site_values import SiteValues
from zoo.models.triangular import TriangularProduct
from zoo.nn.conditioning import Features, Modulated, Modulation, modulated_columns
from zoo.nn.weights import generator_of, normal_parameter
from zoo.specs.models.made import MaskedDenseSpec


class MaskedDense(SiteNetwork):
    """Residual masked layers: h_1 = U s + a_1, h_{l+1} = h_l + W_l tanh(h_l) + a_{l+1}, x = V tanh(h_depth) + D s + b.

    Hidden unit k has a degree m_k in 1..n-1 and sees the first m_k sites: counting sites from 0, U_kj = 0 unless
    j < m_k, W_kk' = 0 unless m_k' <= m_k, V_ik = 0 unless m_k <= i, and D_ij = 0 unless j < i.  Degrees are spread
    evenly and units sorted by them, so that the units which the first sites determine are always a prefix.  A site has
    ``num_channels`` inputs s and ``num_parameters`` outputs x, next to each other.

    Conditions scale and shift the argument of every tanh, and of the direct term D s.
    """

    _input_mask: Tensor
    _hidden_mask: Tensor
    _output_mask: Tensor
    _direct_mask: Tensor

    def __init__(self, spec: MaskedDenseSpec, space: Space, seed: int, values: SiteValues) -> None:
        generator = generator_of(seed)
        super().__init__(spec, space, generator, values)
        self.width, self.depth = spec.width, spec.depth
        self.packed: Packed[tuple[Tensor, list[Tensor], Tensor, Tensor]] = Packed()
        n, width, channels, parameters = space.num_sites, spec.width, values.num_channels, values.num_parameters
        site = torch.arange(n)
        source, row = site.repeat_interleave(channels), site.repeat_interleave(parameters)
        degree = 1 + torch.arange(width) * (n - 1) // width
        self._mask("_input_mask", source[None] < degree[:, None])
        self._mask("_hidden_mask", degree[None] <= degree[:, None])
        self._mask("_output_mask", degree[None] <= row[:, None])
        self._mask("_direct_mask", source[None] < row[:, None])
        self.units_before = [int((degree <= i).sum()) for i in range(n)]
        seen = degree.sqrt()[:, None]
        self.input_weight = normal_parameter((width, n * channels), 1 / seen, generator)
        self.input_bias = nn.Parameter(torch.zeros(width))
        units_seen = self._hidden_mask.sum(1, keepdim=True).sqrt()
        self.hidden_weights = nn.ParameterList(
            normal_parameter((width, width), 0.5 / units_seen, generator) for _ in range(spec.depth - 1)
        )
        self.hidden_biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(spec.depth - 1))
        self.output_weight = normal_parameter((n * parameters, width), 0.1 * width**-0.5, generator)
        self.direct_weight = nn.Parameter(torch.zeros(n * parameters, n * channels))
        self.output_bias = nn.Parameter(torch.zeros(n * parameters))
        if self.encoder is not None:
            self.modulations = nn.ModuleList(Modulation(width) for _ in range(spec.depth))
            self.direct_modulation = Modulation(n * parameters)

    def forward(
        self, inputs: Float[Tensor, "batch site channel"], features: Features = None
    ) -> Float[Tensor, "batch site parameter"]:
        """The parameters of every site, from dense products with masked weights."""
        u, ws, v, d = self.masked_weights()
        flat = inputs.flatten(1)
        hidden = torch.addmm(self.input_bias, flat, u.t())
        for layer, (w, bias) in enumerate(zip(ws, self.hidden_biases, strict=True)):
            hidden = hidden + torch.addmm(bias, self._activated(hidden, layer, features), w.t())
        direct = flat @ d.t()
        if features is not None:
            scale, shift = self.direct_modulation(features)
            direct = direct * scale + shift
        output = torch.addmm(self.output_bias, self._activated(hidden, self.depth - 1, features), v.t()) + direct
        return output.view(len(output), self.space.num_sites, -1)

    @final
    def sweep(self, batch: int, features: Features = None) -> Sweep:
        """The network site by site, on a batch of fixed size."""
        return _MaskedDenseSweep(self, batch, features)

    @final
    def masked_weights(self) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
        """U (unit, input), the W_l (unit, unit), V (output, unit), D (output, input); what is not causal is zero."""
        return (
            self.input_weight * self._input_mask,
            [weight * self._hidden_mask for weight in self.hidden_weights],
            self.output_weight * self._output_mask,
            self.direct_weight * self._direct_mask,
        )

    def _activated(self, hidden: Tensor, layer: int, features: Features) -> Tensor:
        if features is None:
            return torch.tanh(hidden)
        scale, shift = self.modulations[layer](features)
        return torch.tanh(hidden * scale + shift)

    def _mask(self, name: str, allowed: Tensor) -> None:
        self.register_buffer(name, allowed.float(), persistent=False)


class _MaskedDenseSweep(Sweep):
    """Every layer as a triangular product, whose rows are computed once, when the inputs that they see are known."""

    def __init__(self, network: MaskedDense, batch: int, features: Features) -> None:
        super().__init__(network, batch)
        n, width = network.space.num_sites, network.width
        channels, parameters = network.values.num_channels, network.values.num_parameters
        u, ws, v, d = network.packed.get(network, network.masked_weights)
        sites, ends = range(n), network.units_before
        known, rows = [i * channels for i in sites], [(i + 1) * parameters for i in sites]
        self._ends, self._rows = ends, rows
        operand = self.inputs.flatten(0, 1)
        self._active = [self.inputs.new_empty(width, batch) for _ in range(network.depth)]
        self._first = TriangularProduct(u, network.input_bias, operand, ends, known)
        self._hidden = [
            TriangularProduct(w, bias, active, ends, ends)
            for w, bias, active in zip(ws, network.hidden_biases, self._active[:-1], strict=True)
        ]
        self._direct = TriangularProduct(d, None if features is not None else network.output_bias, operand, rows, known)
        self._output = TriangularProduct(v, None, self._active[-1], rows, ends)
        self._modulations: list[Modulated] = []
        if features is not None:
            self._modulations = [
                modulated_columns(m, features) for m in [*network.modulations, network.direct_modulation]
            ]
            self._bias = network.output_bias.unsqueeze(1)

    def advance(self, site: int) -> None:
        begin, end = self._ends[site - 1] if site else 0, self._ends[site]
        self._advance_units(site, begin, end)
        first, last = self._rows[site - 1] if site else 0, self._rows[site]
        direct = self._direct.rows(site)
        if self._modulations:
            direct = self._modulations[-1].rows(first, last, direct).add_(self._bias[first:last])
        torch.add(direct, self._output.rows(site), out=self.outputs[site])

    def _advance_units(self, site: int, begin: int, end: int) -> None:
        hidden = self._first.rows(site)
        for layer, active in enumerate(self._active):
            if layer:
                hidden = hidden + self._hidden[layer - 1].rows(site)
            argument = self._modulations[layer].rows(begin, end, hidden) if self._modulations else hidden
            torch.tanh(argument, out=active[begin:end])
