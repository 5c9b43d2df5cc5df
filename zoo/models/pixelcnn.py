"""PixelCNN: masked convolutions on a 2D lattice, in raster order."""

from itertools import pairwise
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from zoo.core.spaces import Space
from zoo.models.site_network import Packed, SiteNetwork, Sweep, discrete_values
from zoo.nn.conditioning import Features, Modulated, Modulation, modulated_columns
from zoo.nn.weights import generator_of, normal_parameter
from zoo.specs.models.pixelcnn import PixelCnnSpec


@final
class PixelCnn(SiteNetwork):
    """Masked convolutions: (h_1, d) = K * s + F * s_0 + e, h_{l+1} = h_l + W_l * tanh(h_l), x = w tanh(h_depth) + d.

    What nearest neighbours let a site depend on is the frontier between known and unknown sites.  The kernel K, of one
    input channel, covers it: the earlier sites of the row and ``half_kernel`` whole rows above, joined at the sides.  F
    is the kernel of the first row s_0 in each later row, where a periodic lattice closes.  Both have a last channel d
    that goes to the output directly.  Each site has its own embedding e and readout w, which tell the first row from
    the others.  The kernels W_l reach ``half_kernel`` taps up and as far to each side, and hold only their causal taps:
    the rows above, and the current row up to the site itself.  With ``dilated`` the taps of W_l are 2^(l-1) sites
    apart; without ``residual`` the term h_l is left out.  Conditions scale and shift the argument of every tanh, and d.

    A configuration costs O(N^(3/2)) in the first layer, whose channels are few, and O(N) in the others.
    ``memory_format`` is the layout of the convolutions in ``forward``; it changes their speed, not their result.

    Good where correlations are local and lattices large; on an arbitrary graph of spins use MADE.

    Source: van den Oord et al., arXiv:1601.06759; as a variational ansatz: Wu, Wang, Zhang, PRL 122, 080602 (2019).
    """

    _row_offsets: Tensor
    _column_offsets: Tensor

    def __init__(self, spec: PixelCnnSpec, space: Space, seed: int) -> None:
        generator = generator_of(seed)
        super().__init__(spec, space, generator, discrete_values(spec, space))
        self.spec = spec
        self.rows, self.columns = space.event_shape
        n, width, k = space.num_sites, spec.width, spec.half_kernel
        taps = k * (2 * k + 1) + k + 1
        self.reach = min(k, self.rows - 1)
        seen = ((self.reach + 2) * self.columns) ** -0.5
        scale = torch.full((width + 1,), seen).index_fill(0, torch.tensor([width]), 0.0)
        self.frontier_kernel = normal_parameter(((self.reach + 1) * self.columns - 1, width + 1), scale, generator)
        later_rows = max(0, self.rows - self.reach - 1)
        self.first_row_kernel = normal_parameter((later_rows, self.columns, width + 1), scale, generator)
        self.site_embedding = nn.Parameter(torch.zeros(n, width + 1))
        self.kernels = nn.ParameterList(
            normal_parameter((width, taps, width), 0.5 * (taps * width) ** -0.5, generator)
            for _ in range(spec.depth - 1)
        )
        self.readout = normal_parameter((n, width), 0.1 * width**-0.5, generator)
        self.dilations = [2**layer if spec.dilated else 1 for layer in range(spec.depth - 1)]
        self.memory_format = torch.channels_last
        self.packed: Packed[_PackedPixelCnn] = Packed()
        self.register_buffer("_row_offsets", _frontier_offsets(self.reach, self.columns), persistent=False)
        self.register_buffer("_column_offsets", _circular_offsets(self.columns), persistent=False)
        if self.encoder is not None:
            self.modulations = nn.ModuleList(Modulation(width) for _ in range(spec.depth))
            self.direct_modulation = Modulation(n)

    def forward(
        self, inputs: Float[Tensor, "batch site 1"], features: Features = None
    ) -> Float[Tensor, "batch site 1"]:
        """The logit of every site, from convolutions over the whole lattice."""
        first = self._first_layer(inputs.squeeze(2))  # (batch, row, column, channel)
        hidden = first[..., :-1].permute(0, 3, 1, 2).contiguous(memory_format=self.memory_format)
        k = self.spec.half_kernel
        for layer, (kernel, d) in enumerate(zip(self.kernels, self.dilations, strict=True)):
            active = pad(self._activated(hidden, layer, features), (k * d, k * d, k * d, 0))
            new = conv2d(active, self.convolution_kernel(kernel), dilation=d)
            hidden = hidden + new if self.spec.residual else new
        active = self._activated(hidden, len(self.kernels), features).permute(0, 2, 3, 1).flatten(1, 2)
        direct = first[..., -1].flatten(1)
        if features is not None:
            scale, shift = self.direct_modulation(features)
            direct = direct * scale + shift
        return ((active * self.readout).sum(2) + direct).unsqueeze(2)

    def sweep(self, batch: int, features: Features = None) -> Sweep:
        """The network site by site, on a batch of fixed size."""
        return _PixelCnnSweep(self, batch, features)

    def frontier_matrix(self) -> Float[Tensor, "source column channel"]:
        """K unrolled for one row: the sources are ``reach`` rows above, topmost first, and the row itself."""
        by_offset = pad(self.frontier_kernel, (0, 0, 1, 0))
        return by_offset.index_select(0, self._row_offsets.flatten()).view(*self._row_offsets.shape, -1)

    def first_row_matrix(self) -> Float[Tensor, "row source column channel"]:
        """F unrolled: the rows are those that K does not join to the first one."""
        shape = (-1, self.columns, self.columns, self.spec.width + 1)
        return self.first_row_kernel.index_select(1, self._column_offsets.flatten()).reshape(shape)

    def convolution_kernel(self, kernel: Float[Tensor, "out tap in"]) -> Float[Tensor, "out in row column"]:
        """The causal taps as a convolution's kernel, those after the site being zero."""
        k = self.spec.half_kernel
        full = pad(kernel, (0, 0, 0, k))
        by_row = full.view(-1, k + 1, 2 * k + 1, self.spec.width).permute(0, 3, 1, 2)
        return by_row.contiguous(memory_format=self.memory_format)

    def _first_layer(self, spins: Float[Tensor, "batch site"]) -> Float[Tensor, "batch row column channel"]:
        lattice = spins.view(-1, self.rows, self.columns)
        above = pad(lattice, (0, 0, self.reach, 0))
        sources = torch.cat([above[:, shift : shift + self.rows] for shift in range(self.reach + 1)], dim=2)
        layer = (sources @ self.frontier_matrix().flatten(1)).view(-1, *self.space.event_shape, self.spec.width + 1)
        layer = layer + self.site_embedding.view(*self.space.event_shape, -1)
        if not len(self.first_row_kernel):
            return layer
        matrix = self.first_row_matrix().transpose(0, 1).flatten(1)  # (source, row column channel)
        closing = (lattice[:, 0] @ matrix).view(len(spins), -1, self.columns, self.spec.width + 1)
        return torch.cat([layer[:, : self.reach + 1], layer[:, self.reach + 1 :] + closing], dim=1)

    def _activated(self, hidden: Tensor, layer: int, features: Features) -> Tensor:
        if features is None:
            return torch.tanh(hidden)
        scale, shift = self.modulations[layer](features)
        return torch.tanh(hidden * scale[:, :, None, None] + shift[:, :, None, None])


class _PackedPixelCnn(NamedTuple):
    """The weights as the sweep uses them."""

    above: Tensor  # (column channel, source of the rows above)
    beside: Tensor  # (column, channel, source of the row itself)
    first_row: Tensor  # (later row, column channel, source)
    embedding: Tensor  # (row, column channel, 1)
    matrices: list[list[Tensor]]  # for each layer and kernel row: (out, tap in)
    readout: Tensor  # (site, 1, channel)


def _packed(network: PixelCnn) -> _PackedPixelCnn:
    k = network.spec.half_kernel
    edges = [0, *(row * (2 * k + 1) for row in range(1, k + 1)), k * (2 * k + 1) + k + 1]
    frontier = network.frontier_matrix().permute(1, 2, 0)  # (column, channel, source)
    split = network.reach * network.columns
    return _PackedPixelCnn(
        above=frontier[:, :, :split].flatten(0, 1).contiguous(),
        beside=frontier[:, :, split:].contiguous(),
        first_row=network.first_row_matrix().permute(0, 2, 3, 1).flatten(1, 2).contiguous(),
        embedding=network.site_embedding.view(network.rows, -1, 1),
        matrices=[[kernel[:, a:b].flatten(1).contiguous() for a, b in pairwise(edges)] for kernel in network.kernels],
        readout=network.readout.unsqueeze(1),
    )


class _PixelCnnSweep(Sweep):
    """Keeps tanh(h_l) of the rows that W_l reaches, shape (row, padded column, channel, batch) for each layer.

    The taps of one kernel row are then one matrix (tap channel, batch), contiguous unless dilated, and a site costs one
    product for each kernel row and layer.  What the rows above give to the first layer is one product for a whole row.
    """

    def __init__(self, network: PixelCnn, batch: int, features: Features) -> None:
        super().__init__(network, batch)
        width, k = network.spec.width, network.spec.half_kernel
        self._columns, self._k, self._reach = network.columns, k, network.reach
        self._residual, self._dilations = network.spec.residual, network.dilations
        self._weights = network.packed.get(network, lambda: _packed(network))
        self._spins = self.inputs.flatten(0, 1)
        self._first = self.inputs.new_empty(network.columns, width + 1, batch)
        self._cache = [
            self.inputs.new_zeros(k * d + 1, network.columns + 2 * k * d, width, batch) for d in network.dilations
        ]
        self._last = self.inputs.new_empty(width, batch)
        self._modulations: list[Modulated] = []
        if features is not None:
            self._modulations = [modulated_columns(m, features) for m in network.modulations]
            self._direct = modulated_columns(network.direct_modulation, features)

    def advance(self, site: int) -> None:
        row, column = divmod(site, self._columns)
        if column == 0:
            self._open_row(row)
        first, weights = self._first[column], self._weights
        if column:
            beside = self._spins[site - column : site]
            first.addmm_(weights.beside[column, :, :column], beside)
        hidden = first[:-1]
        for layer, cache in enumerate(self._cache):
            d = self._dilations[layer]
            slot = cache[row % len(cache), column + self._k * d]
            torch.tanh(self._argument(hidden, layer), out=slot)
            hidden = self._with_taps(hidden, layer, row, column)
        torch.tanh(self._argument(hidden, len(self._cache)), out=self._last)
        direct = first[-1:]
        if self._modulations:
            direct = self._direct.rows(site, site + 1, direct)
        torch.addmm(direct, weights.readout[site], self._last, out=self.outputs[site])

    def _open_row(self, row: int) -> None:
        """The first layer of all sites of a row, without what the row itself gives."""
        weights, columns = self._weights, self._columns
        first = self._first.flatten(0, 1)
        first.copy_(weights.embedding[row].expand_as(first))
        if above := min(self._reach, row):
            matrix = weights.above[:, (self._reach - above) * columns :]
            first.addmm_(matrix, self._spins[(row - above) * columns : row * columns])
        if row > self._reach:
            first.addmm_(weights.first_row[row - self._reach - 1], self._spins[:columns])

    def _argument(self, hidden: Tensor, layer: int) -> Tensor:
        if not self._modulations:
            return hidden
        return self._modulations[layer].rows(0, len(hidden), hidden)

    def _with_taps(self, hidden: Tensor, layer: int, row: int, column: int) -> Tensor:
        k, d, cache = self._k, self._dilations[layer], self._cache[layer]
        new = hidden if self._residual else torch.zeros_like(hidden)
        for above in range(min(k, row // d), -1, -1):
            taps = 2 * k + 1 if above else k + 1
            active = cache[(row - above * d) % len(cache), column : column + d * (taps - 1) + 1 : d].flatten(0, 1)
            new.addmm_(self._weights.matrices[layer][k - above], active)
        return new


def _frontier_offsets(reach: int, columns: int) -> Tensor:
    """Entry (source, column): which offset of the frontier kernel joins them; 0 where the source is not earlier.

    Sources are ``reach`` rows above, topmost first, then the row itself.  An offset is (rows up, columns to the left
    modulo the width), counted in raster order from 1; the site itself would be 0.
    """
    up = torch.arange(reach, -1, -1).repeat_interleave(columns)
    source = torch.arange(columns).repeat(reach + 1)
    column = torch.arange(columns)
    offset = up[:, None] * columns + (column[None] - source[:, None]) % columns
    earlier = (up[:, None] > 0) | (source[:, None] < column[None])
    return torch.where(earlier, offset, 0)


def _circular_offsets(columns: int) -> Tensor:
    """Entry (source, column): how far the source is to the left, modulo the width."""
    column = torch.arange(columns)
    return (column[None] - column[:, None]) % columns
