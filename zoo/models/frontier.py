"""What a site of a lattice is told of the earlier ones directly, and what it gives to the output directly."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from zoo.core.spaces import Space
from zoo.models.site_values import SiteValues
from zoo.models.triangular import TriangularProduct
from zoo.nn.conditioning import Features, Modulation, modulated_columns
from zoo.nn.weights import normal_parameter

LONGEST_ROW = 64
"""Sites of the longest chain that is one row."""


@final
class Frontier(nn.Module):
    """g_i = K u_i + F_r v_i, linear in the frontier u_i between known and unknown sites and in the first row v_i.

    A row is what the first axis of the event counts: a row of a square lattice, a plane of a cubic one.  A short chain
    is one row, so that each site is told of all earlier ones; of a long chain every site is a row.  A row has L sites.
    u_i are the last L sites before i, the latest of each column: what nearest neighbours let a site depend on.  v_i is
    the first row, where a periodic lattice closes, with a kernel F_r of its own for each later row r.  Both kernels
    know columns by their distance to that of i, modulo L; K tells the sites of i's own row from those of the row above.
    """

    _offsets: Tensor
    _turns: Tensor

    def __init__(self, space: Space, values: SiteValues, units: int, generator: torch.Generator) -> None:
        super().__init__()
        is_short_chain = len(space.event_shape) == 1 and space.num_sites <= LONGEST_ROW
        self.rows = 1 if is_short_chain else space.event_shape[0]
        self.columns = space.num_sites // self.rows
        self.channels, self.units = values.num_channels, units
        scale = (2 * self.columns) ** -0.5
        self.kernel = normal_parameter((2 * self.columns - 1, self.channels, units), scale, generator)
        self.first_row_kernel = normal_parameter(
            (self.rows - 1, self.columns, self.channels, units), scale / 2, generator
        )
        self.register_buffer("_offsets", _offsets(self.columns), persistent=False)
        column = torch.arange(self.columns)
        self.register_buffer("_turns", (column[:, None] - column) % self.columns, persistent=False)

    def forward(
        self, inputs: Float[Tensor, "site channel batch"], constant: Float[Tensor, "site unit"]
    ) -> Float[Tensor, "site unit batch"]:
        """G of every site, plus a constant of each; the batch is the last axis."""
        batch = inputs.shape[2]
        lattice = inputs.reshape(self.rows, -1, batch)
        above = pad(lattice, (0, 0, 0, 0, 1, 0))[:-1]
        sources = torch.cat([above, lattice, lattice[:1].expand_as(lattice)], 1)
        near = self._matrix().flatten(2).flatten(0, 1).expand(self.rows, -1, -1)
        closing = pad(self._first_row_matrix().flatten(3).flatten(1, 2), (0, 0, 0, 0, 1, 0))
        weight = torch.cat([near, closing], 1).transpose(1, 2)  # (row, column unit, source channel)
        return torch.baddbmm(constant.reshape(self.rows, -1, 1), weight, sources).view(-1, self.units, batch)

    def packed(self) -> tuple[Tensor, Tensor]:
        """K for each column, shape (column, unit, source channel), and F, shape (later row, unit, source channel)."""
        columns = range(self.columns)
        matrix = self._matrix()  # the frontier of column c are the sources c .. c + L - 1
        window = [matrix[c : c + self.columns, :, c].flatten(0, 1).t() for c in columns]
        return torch.stack(window).contiguous(), self.first_row_kernel.flatten(1, 2).transpose(1, 2).contiguous()

    def _matrix(self) -> Float[Tensor, "source channel column unit"]:
        """K unrolled for one row, whose sources are the row above and the row itself; zero off the frontier."""
        by_offset = pad(self.kernel, (0, 0, 0, 0, 1, 0)).index_select(0, self._offsets.flatten())
        return by_offset.view(*self._offsets.shape, *by_offset.shape[1:]).transpose(1, 2)

    def _first_row_matrix(self) -> Float[Tensor, "row source channel column unit"]:
        """F unrolled for each later row: a source is known by how far it is to the right, modulo L."""
        unrolled = self.first_row_kernel.index_select(1, self._turns.flatten())
        shape = (len(unrolled), self.columns, self.columns, self.channels, self.units)
        return unrolled.view(shape).transpose(2, 3)


@final
class FrontierSweep:
    """``Frontier`` site by site, plus a constant of each site; the batch is the last axis."""

    def __init__(
        self,
        packed: tuple[Tensor, Tensor],
        constant: Float[Tensor, "site unit"],
        inputs: Float[Tensor, "site channel batch"],
    ) -> None:
        self._window, self._first_row = packed
        self._constant = constant.unsqueeze(2)
        self._columns, self._channels = len(self._window), inputs.shape[1]
        self._inputs = inputs.flatten(0, 1)
        self._twice = self._inputs.new_empty(2 * self._columns * self._channels, inputs.shape[2])
        self._units = self._inputs.new_empty(constant.shape[1], inputs.shape[2])

    def advance(self, site: int) -> Float[Tensor, "unit batch"]:
        """The units of ``site``, in memory that the next call overwrites."""
        columns, channels = self._columns, self._channels
        row, column = divmod(site, columns)
        if site == 0:
            return self._units.copy_(self._constant[0].expand_as(self._units))
        seen = min(site, columns) * channels
        known = self._inputs[site * channels - seen : site * channels]
        torch.addmm(self._constant[site], self._window[column, :, -seen:], known, out=self._units)
        if row:
            if site == columns:
                self._twice.view(2, -1, self._twice.shape[1]).copy_(known.expand(2, -1, -1))
            first = self._twice[column * channels : (column + columns) * channels]
            self._units.addmm_(self._first_row[row - 1], first)
        return self._units


@final
class SiteReadout(nn.Module):
    """The parameters of site i: x_i = V_i h_i + sum_{j < i} D_ij s_j + b_i.  Conditions scale and shift the sum."""

    _mask: Tensor

    def __init__(
        self, space: Space, values: SiteValues, width: int, generator: torch.Generator, *, conditional: bool
    ) -> None:
        super().__init__()
        n, channels, parameters = space.num_sites, values.num_channels, values.num_parameters
        self.sites, self.channels, self.parameters_of_site = n, channels, parameters
        self.weight = normal_parameter((n, parameters, width), 0.1 * width**-0.5, generator)
        self.direct_weight = nn.Parameter(torch.zeros(n * parameters, n * channels))
        self.bias = nn.Parameter(torch.zeros(n * parameters))
        self.modulation = Modulation(n * parameters) if conditional else None
        source = torch.arange(n).repeat_interleave(channels)
        row = torch.arange(n).repeat_interleave(parameters)
        self.register_buffer("_mask", (source[None] < row[:, None]).float(), persistent=False)

    def forward(
        self,
        hidden: Float[Tensor, "site unit batch"],
        inputs: Float[Tensor, "site channel batch"],
        features: Features,
    ) -> Float[Tensor, "site parameter batch"]:
        """The parameters of every site from h and the values; the batch is the last axis."""
        direct = self.causal_weight() @ inputs.flatten(0, 1)
        if features is not None and self.modulation is not None:
            scale, shift = self.modulation(features)
            direct = direct * scale.t() + shift.t()
        direct = (direct + self.bias.unsqueeze(1)).view(self.sites, -1, inputs.shape[2])
        return torch.baddbmm(direct, self.weight, hidden)

    def causal_weight(self) -> Float[Tensor, "parameter channel"]:
        """D for all sites; zero unless j < i."""
        return self.direct_weight * self._mask


@final
class SiteReadoutSweep:
    """``SiteReadout`` site by site; the batch is the last axis."""

    def __init__(
        self,
        readout: SiteReadout,
        causal_weight: Tensor,
        inputs: Float[Tensor, "site channel batch"],
        features: Features,
    ) -> None:
        sites = range(readout.sites)
        known = [site * readout.channels for site in sites]
        self._ends = [(site + 1) * readout.parameters_of_site for site in sites]
        self._weight = readout.weight
        self._modulated = None
        if features is not None and readout.modulation is not None:
            self._modulated = modulated_columns(readout.modulation, features)
            self._bias = readout.bias.unsqueeze(1)
        bias = readout.bias if self._modulated is None else None
        self._direct = TriangularProduct(causal_weight, bias, inputs.flatten(0, 1), self._ends, known)

    def advance(self, site: int, hidden: Float[Tensor, "unit batch"], out: Float[Tensor, "parameter batch"]) -> None:
        """Fill ``out`` with the parameters of ``site``."""
        direct = self._direct.rows(site)
        if self._modulated is not None:
            begin, end = self._ends[site] - len(out), self._ends[site]
            direct = self._modulated.rows(begin, end, direct).add_(self._bias[begin:end])
        torch.addmm(direct, self._weight[site], hidden, out=out)


def _offsets(columns: int) -> Tensor:
    """Entry (source, column): which entry of the kernel joins them, counted from 1; 0 off the frontier.

    Sources are the row above and then the row itself.  Distances to the left within the row come first, 1 to L - 1, and
    then those of sites above, 1 to L, the last being straight above.
    """
    source, column = torch.arange(columns)[:, None], torch.arange(columns)[None]
    above = torch.where(source >= column, 2 * columns - 1 - (source - column), 0)
    beside = torch.where(source < column, column - source, 0)
    return torch.cat([above, beside])
