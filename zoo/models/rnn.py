"""Recurrent networks: gated units along the raster order, or over the rows and columns of a lattice."""

from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.core.spaces import Space
from zoo.models.frontier import Frontier, FrontierSweep, SiteReadout, SiteReadoutSweep
from zoo.models.real_values import MixtureValues
from zoo.models.recurrence import chain_states, lattice_states
from zoo.models.site_network import Packed, SiteNetwork, Sweep, discrete_values
from zoo.models.site_values import SiteValues
from zoo.nn.conditioning import Features, Modulated, Modulation, modulated_columns
from zoo.nn.weights import generator_of, normal_parameter
from zoo.specs.models.rnn import RnnSpec


def recurrent_values(spec: RnnSpec, space: Space) -> SiteValues:
    """How variables of any space that the family lives on enter and are distributed."""
    return MixtureValues(spec.components, spec.scale) if space.spec.kind == "reals" else discrete_values(spec, space)


class _Cell(nn.Module, ABC):
    """h_i = n + z (c - n), n = tanh(a_n + r (U_n p + b)), with gates r, z = sigmoid(a + U p) and p the earlier states.

    a_i is what the layer is given at site i, ``num_gates`` times ``width`` numbers of which the last are a_n, and c is
    a mean of the states in p: |h| < 1 however long the way.
    """

    num_gates: int
    num_previous: int

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.width = width
        shape = (self.num_gates * width, self.num_previous * width)
        self.weight = normal_parameter(shape, (self.num_previous * width) ** -0.5, generator)
        self.bias = nn.Parameter(torch.zeros(width))

    @abstractmethod
    def forward(self, given: Float[Tensor, "site gate batch"]) -> Float[Tensor, "site unit batch"]:
        """The states of all sites; the batch is the last axis."""

    @abstractmethod
    def sweep(self, batch: int) -> "_CellSweep":
        """The layer site by site."""


@final
class _ChainCell(_Cell):
    """p = h_{i-1} = c.

    Source: Cho et al., arXiv:1406.1078, with the reset after the product.
    """

    num_gates = 3
    num_previous = 1

    def forward(self, given: Float[Tensor, "site gate batch"]) -> Float[Tensor, "site unit batch"]:
        """The states along the chain, which starts from zero."""
        return chain_states(given, self.weight, self.bias)

    def sweep(self, batch: int) -> "_CellSweep":
        return _ChainSweep(self, batch)


@final
class _LatticeCell(_Cell):
    """p = (h_left, h_up), c = y h_left + (1 - y) h_up with a third gate y; states off the lattice are zero.

    Source: Hibat-Allah et al., arXiv:2002.02973, section on two dimensions, with gates.
    """

    num_gates = 4
    num_previous = 2

    def __init__(self, width: int, shape: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__(width, generator)
        _, self.columns = shape

    def forward(self, given: Float[Tensor, "site gate batch"]) -> Float[Tensor, "site unit batch"]:
        """The states of the lattice, in raster order."""
        return lattice_states(given, self.weight, self.bias, self.columns)

    def sweep(self, batch: int) -> "_CellSweep":
        return _LatticeSweep(self, batch)


@final
class Rnn(SiteNetwork):
    """Layers of gated units, given a^1 = g + e and a^{l+1} = W_l h^l + b_l, with x_i = V_i sum_l h^l_i + D_i s + b_i.

    g_i is linear in the frontier of known sites and in the first row (``Frontier``), where a memory of the way along
    the raster order would have to reach back a whole row, or many.  D_i is linear in all earlier sites.  Each site has
    an embedding e and a readout V of its own.  With ``dimension`` 2 a site takes the states of its left and its upper
    neighbour.  Conditions scale and shift what each layer is given, and D s.

    A sample costs O(N (width^2 + width L)), and the direct terms O(N^2).  Good for chains and lattices; on an arbitrary
    graph only the direct terms know which sites are joined.

    Source: Cho et al., arXiv:1406.1078; Hibat-Allah et al., arXiv:2002.02973.
    """

    def __init__(self, spec: RnnSpec, space: Space, seed: int) -> None:
        generator = generator_of(seed)
        super().__init__(spec, space, generator, recurrent_values(spec, space))
        width = spec.width
        self.cells = nn.ModuleList(_cell(spec, space, generator) for _ in range(spec.depth))
        gates = (2 + spec.dimension) * width
        self.frontier = Frontier(space, self.values, gates, generator)
        self.site_embedding = nn.Parameter(torch.zeros(space.num_sites, gates))
        self.layer_weights = nn.ParameterList(
            normal_parameter((gates, width), width**-0.5, generator) for _ in range(spec.depth - 1)
        )
        self.layer_biases = nn.ParameterList(nn.Parameter(torch.zeros(gates)) for _ in range(spec.depth - 1))
        self.readout = SiteReadout(space, self.values, width, generator, conditional=self.encoder is not None)
        if self.encoder is not None:
            self.modulations = nn.ModuleList(Modulation(gates) for _ in range(spec.depth))
        self.packed: Packed[_PackedRnn] = Packed()

    def forward(
        self, inputs: Float[Tensor, "batch site channel"], features: Features = None
    ) -> Float[Tensor, "batch site parameter"]:
        """The parameters of every site, from one pass along the lattice for each layer."""
        columns = inputs.permute(1, 2, 0).contiguous()  # (site, channel, batch)
        given = self.frontier(columns, self.site_embedding)
        hidden: Tensor = self.cells[0](self._modulated(given, 0, features))
        total = hidden
        for layer, (weight, bias) in enumerate(zip(self.layer_weights, self.layer_biases, strict=True), start=1):
            given = weight @ hidden + bias.unsqueeze(1)
            hidden = self.cells[layer](self._modulated(given, layer, features))
            total = total + hidden
        outputs: Tensor = self.readout(total, columns, features)
        return outputs.permute(2, 0, 1)

    def sweep(self, batch: int, features: Features = None) -> Sweep:
        """The network site by site, on a batch of fixed size."""
        return _RnnSweep(self, batch, features)

    def _modulated(self, given: Tensor, layer: int, features: Features) -> Tensor:
        if features is None:
            return given
        modulated = modulated_columns(self.modulations[layer], features)
        return torch.addcmul(modulated.shift, given, modulated.scale)


class _PackedRnn(NamedTuple):
    """The weights as the sweep uses them."""

    frontier: tuple[Tensor, Tensor]
    direct: Tensor


class _CellSweep(ABC):
    """A layer, site by site; keeps the states that later sites need.  The batch is the last axis."""

    @abstractmethod
    def advance(self, site: int, given: Float[Tensor, "gate batch"]) -> Float[Tensor, "unit batch"]:
        """The state of ``site``, in memory that a later call overwrites; ``given`` is overwritten."""


@final
class _ChainSweep(_CellSweep):
    def __init__(self, cell: _ChainCell, batch: int) -> None:
        self._width, self._weight, self._bias = cell.width, cell.weight, cell.bias.unsqueeze(1)
        self._hidden = cell.weight.new_zeros(cell.width, batch)
        self._product = cell.weight.new_empty(cell.width, batch)

    def advance(self, site: int, given: Float[Tensor, "gate batch"]) -> Float[Tensor, "unit batch"]:
        width, hidden = self._width, self._hidden
        gates, new = given[: 2 * width], given[2 * width :]
        gates.addmm_(self._weight[: 2 * width], hidden).sigmoid_()
        torch.addmm(self._bias, self._weight[2 * width :], hidden, out=self._product)
        new.addcmul_(gates[:width], self._product).tanh_()
        return torch.lerp(new, hidden, gates[width:], out=hidden)


@final
class _LatticeSweep(_CellSweep):
    """One row of states: before site (r, c) its entry c is the state above it and entry c - 1 the one to its left."""

    def __init__(self, cell: _LatticeCell, batch: int) -> None:
        self._width, self._columns = cell.width, cell.columns
        self._weight, self._bias = cell.weight, cell.bias.unsqueeze(1)
        self._row = cell.weight.new_zeros(cell.columns + 1, cell.width, batch)  # the first entry is off the lattice
        self._product = cell.weight.new_empty(cell.width, batch)

    def advance(self, site: int, given: Float[Tensor, "gate batch"]) -> Float[Tensor, "unit batch"]:
        width, column = self._width, site % self._columns
        previous = self._row[column : column + 2].flatten(0, 1)
        gates, new = given[: 3 * width], given[3 * width :]
        gates.addmm_(self._weight[: 3 * width], previous).sigmoid_()
        torch.addmm(self._bias, self._weight[3 * width :], previous, out=self._product)
        new.addcmul_(gates[:width], self._product).tanh_()
        left, up = self._row[column], self._row[column + 1]
        torch.lerp(up, left, gates[2 * width :], out=up)
        return torch.lerp(new, up, gates[width : 2 * width], out=up)


@final
class _RnnSweep(Sweep):
    def __init__(self, network: Rnn, batch: int, features: Features) -> None:
        super().__init__(network, batch)
        weights = network.packed.get(
            network, lambda: _PackedRnn(network.frontier.packed(), network.readout.causal_weight())
        )
        self._frontier = FrontierSweep(weights.frontier, network.site_embedding, self.inputs)
        self._readout = SiteReadoutSweep(network.readout, weights.direct, self.inputs, features)
        self._cells = [cell.sweep(batch) for cell in network.cells if isinstance(cell, _Cell)]
        self._layers = [(w, b.unsqueeze(1)) for w, b in zip(network.layer_weights, network.layer_biases, strict=True)]
        self._given = [self.inputs.new_empty(len(weight), batch) for weight, _ in self._layers]
        self._modulations: list[Modulated] = []
        if features is not None:
            self._modulations = [modulated_columns(m, features) for m in network.modulations]

    def advance(self, site: int) -> None:
        given = self._frontier.advance(site)
        total = hidden = self._cells[0].advance(site, self._modulated(given, 0))
        for layer, (weight, bias) in enumerate(self._layers, start=1):
            given = torch.addmm(bias, weight, hidden, out=self._given[layer - 1])
            hidden = self._cells[layer].advance(site, self._modulated(given, layer))
            total = total + hidden
        self._readout.advance(site, total, self.outputs[site])

    def _modulated(self, given: Tensor, layer: int) -> Tensor:
        return self._modulations[layer].rows(0, len(given), given) if self._modulations else given


def _cell(spec: RnnSpec, space: Space, generator: torch.Generator) -> _Cell:
    if spec.dimension == 1:
        return _ChainCell(spec.width, generator)
    return _LatticeCell(spec.width, space.event_shape, generator)
