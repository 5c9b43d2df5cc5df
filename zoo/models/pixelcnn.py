"""PixelCNN: masked convolutions on a 2D lattice, in raster order."""

from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from zoo.core.spaces import Space
from zoo.models.autoregressive import AutoregressiveSpins, Sweep
from zoo.models.triangular import TriangularProduct
from zoo.models.weights import generator_of, normal_parameter
from zoo.specs.models.pixelcnn import PixelCnnSpec


@final
class PixelCnn(AutoregressiveSpins):
    """Residual masked convolutions: h_1 = K * s + e, h_{l+1} = h_l + W_l * tanh(h_l), x = w tanh(h_depth) + D * s + b.

    The kernels K and D have one input channel, cover the whole lattice and wrap around horizontally, so that every site
    sees every earlier one, those across the boundary too.  Each site has its own embedding e, readout w and bias b,
    which tell the first row from the others and the last from those before it: at the last, the boundary closes.
    The kernels W_l reach ``half_kernel`` rows up and as far to each side, and hold only their causal taps: the rows
    above, and the current row up to the site itself.

    ``memory_format`` is the layout of the convolutions in ``network``; it changes their speed, not their result.

    Good where correlations are local and lattices large; on an arbitrary graph of spins use MADE.

    Source: van den Oord et al., arXiv:1601.06759; as a variational ansatz: Wu, Wang, Zhang, PRL 122, 080602 (2019).
    """

    _offsets: Tensor

    def __init__(self, spec: PixelCnnSpec, space: Space, seed: int) -> None:
        super().__init__(spec, space, spec.symmetry)
        self.spec = spec
        self.rows, self.columns = space.event_shape
        n, width, k = space.num_sites, spec.width, spec.half_kernel
        taps = k * (2 * k + 1) + k + 1
        generator = generator_of(seed)
        self.offset_kernel = normal_parameter((n - 1, width), n**-0.5, generator)
        self.site_embedding = nn.Parameter(torch.zeros(n, width))
        self.kernels = nn.ParameterList(
            normal_parameter((width, taps, width), 0.5 * (taps * width) ** -0.5, generator)
            for _ in range(spec.depth - 1)
        )
        self.direct_kernel = nn.Parameter(torch.zeros(n - 1, 1))
        self.readout = normal_parameter((n, width), 0.1 * width**-0.5, generator)
        self.site_bias = nn.Parameter(torch.zeros(n))
        self.memory_format = torch.channels_last
        self.register_buffer("_offsets", _raster_offsets(self.rows, self.columns), persistent=False)

    def network(self, spins: Float[Tensor, "batch site"]) -> Float[Tensor, "batch site"]:
        """x_i of every site, from convolutions over the whole lattice."""
        hidden = spins @ self.lattice_matrix(self.offset_kernel).flatten(1) + self.site_embedding.flatten()
        hidden = hidden.view(-1, self.rows, self.columns, self.spec.width).permute(0, 3, 1, 2)
        hidden = hidden.contiguous(memory_format=self.memory_format)
        k = self.spec.half_kernel
        for kernel in self.kernels:
            hidden = hidden + conv2d(pad(torch.tanh(hidden), (k, k, k, 0)), self.convolution_kernel(kernel))
        features = torch.tanh(hidden).permute(0, 2, 3, 1).flatten(1, 2)
        direct = spins @ self.lattice_matrix(self.direct_kernel).squeeze(2)
        return (features * self.readout).sum(2) + direct + self.site_bias

    def sweep(self, batch: int) -> Sweep:
        """The network site by site, on a batch of fixed size."""
        return _PixelCnnSweep(self, batch)

    def lattice_matrix(self, kernel: Float[Tensor, "offset channel"]) -> Float[Tensor, "source site channel"]:
        """K or D unrolled: entry (j, i) is the weight of spin j in site i, zero unless j comes before i."""
        by_offset = pad(kernel, (0, 0, 1, 0))
        n = self.space.num_sites
        return by_offset.index_select(0, self._offsets.flatten()).view(n, n, -1)

    def convolution_kernel(self, kernel: Float[Tensor, "out tap in"]) -> Float[Tensor, "out in row column"]:
        """The causal taps as a convolution's kernel, those after the site being zero."""
        k = self.spec.half_kernel
        full = pad(kernel, (0, 0, 0, k))
        by_row = full.view(-1, k + 1, 2 * k + 1, self.spec.width).permute(0, 3, 1, 2)
        return by_row.contiguous(memory_format=self.memory_format)


class _PixelCnnSweep(Sweep):
    """Keeps tanh(h_l) of the last ``half_kernel`` + 1 rows, shape (row, padded column, channel, batch) for each layer.

    The taps of one kernel row are then one contiguous matrix (tap channel, batch), and a site costs one product for
    each kernel row and layer.
    """

    def __init__(self, model: PixelCnn, batch: int) -> None:
        n, width, k = model.space.num_sites, model.spec.width, model.spec.half_kernel
        super().__init__(n, batch, model.site_bias)
        self._columns, self._reach = model.columns, k
        self._first = model.lattice_matrix(model.offset_kernel).permute(1, 2, 0).contiguous()  # (site, channel, source)
        self._embedding = model.site_embedding.unsqueeze(2)
        edges = [0, *(dr * (2 * k + 1) for dr in range(1, k + 1)), k * (2 * k + 1) + k + 1]
        self._matrices = [
            [kernel[:, a:b].flatten(1).contiguous() for a, b in pairwise(edges)] for kernel in model.kernels
        ]
        self._cache = [self.spins.new_zeros(k + 1, model.columns + 2 * k, width, batch) for _ in model.kernels]
        self._last = self.spins.new_empty(width, batch)
        direct = model.lattice_matrix(model.direct_kernel).squeeze(2).t().contiguous()  # (site, source)
        self._direct = TriangularProduct(direct, model.site_bias, self.spins, range(1, n + 1), range(n))
        self._readout = model.readout.unsqueeze(1)

    def advance(self, site: int) -> None:
        row, column = divmod(site, self._columns)
        hidden = torch.addmm(self._embedding[site], self._first[site, :, :site], self.spins[:site])
        for matrices, cache in zip(self._matrices, self._cache, strict=True):
            slot = cache[row % (self._reach + 1)]
            torch.tanh(hidden, out=slot[column + self._reach])
            self._add_taps(hidden, matrices, cache, row, column)
        torch.tanh(hidden, out=self._last)
        direct = self._direct.rows(site)
        torch.addmm(direct, self._readout[site], self._last, out=self.logits[site : site + 1])

    def _add_taps(self, hidden: Tensor, matrices: list[Tensor], cache: Tensor, row: int, column: int) -> None:
        k = self._reach
        for above in range(min(k, row), -1, -1):
            end = column + (2 * k + 1 if above else k + 1)
            taps = cache[(row - above) % (k + 1), column:end].flatten(0, 1)
            hidden.addmm_(matrices[k - above], taps)


def _raster_offsets(rows: int, columns: int) -> Tensor:
    """Entry (j, i): which offset of the first kernel joins site i to an earlier site j; 0 when j is not earlier.

    An offset is (rows up, columns to the left modulo the width), counted in raster order.
    """
    site = torch.arange(rows * columns)
    row, column = site // columns, site % columns
    offset = (row[None] - row[:, None]) * columns + (column[None] - column[:, None]) % columns
    return torch.where(site[:, None] < site[None], offset, 0)
