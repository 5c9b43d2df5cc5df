"""Masked autoregressive layers: scalar maps of all variables, whose parameters the variables before give."""

from collections.abc import Callable
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.models.bijections.base import Bijection, Mapped
from zoo.models.bijections.scalar_map import ScalarMap, Scalars
from zoo.models.threads import single_threaded
from zoo.models.triangular import GrownRows, TriangularProduct
from zoo.nn.conditioning import Features, Modulated, modulated_columns
from zoo.nn.masked_dense_conditioner import MaskedDenseConditioner

Seen = Literal["data", "latent"]

ScalarStep = Callable[[Tensor, Tensor], Scalars]


@final
class MaskedAutoregressive(Bijection):
    """x_i = f(z_i; p_i(y_1 .. y_(i-1))): y = x where the network has ``seen`` data, y = z where it has seen latents.

    The way on which y is given is parallel, one pass of the network for all variables: to the latents where it sees
    data (a masked autoregressive flow), to the data where it sees latents (an inverse one).  The other way makes y,
    one variable after the other; every weight of the network is still used once, so a sample of either way costs as
    many products.  ln |det| = sum_i ln f'(z_i; p_i), the derivative being triangular.

    Source: Papamakarios, Pavlakou, Murray, arXiv:1705.07057; Kingma et al., arXiv:1606.04934.
    """

    def __init__(self, conditioner: MaskedDenseConditioner, scalar_map: ScalarMap, seen: Seen) -> None:
        super().__init__()
        self.conditioner = conditioner
        self.scalar_map = scalar_map
        self.seen = seen

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """All variables at once where the network sees latents, else one after the other."""
        through = self._at_once if self.seen == "latent" else self._in_turn
        return through(z, features, self.scalar_map.forward)

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """All variables at once where the network sees data, else one after the other."""
        through = self._at_once if self.seen == "data" else self._in_turn
        return through(x, features, self.scalar_map.inverse)

    def _at_once(self, y: Float[Tensor, "batch site"], features: Features, apply: ScalarStep) -> Mapped:
        """The image of what the network sees."""
        values, log_slopes = apply(y, self.conditioner(y, features))
        return values, log_slopes.sum(1, dtype=torch.float64)

    def _in_turn(self, v: Float[Tensor, "batch site"], features: Features, apply: ScalarStep) -> Mapped:
        """What the network sees, from its image ``v``."""
        with single_threaded():
            turns = _Turns(self.conditioner, len(v), features)
            log_slopes = []
            for site, values in enumerate(v.t().contiguous().unbind()):
                mapped = apply(values[:, None], turns.parameters(site).t()[:, :, None])
                turns.known.append(mapped.values.t())
                log_slopes.append(mapped.log_slopes)
            total = torch.cat(log_slopes, 1).sum(1, dtype=torch.float64)
            return turns.known[: v.shape[1]].t().contiguous(), total


@final
class _Turns:
    """The network variable by variable, on a batch that is the last axis: whatever can be known is computed once."""

    def __init__(self, conditioner: MaskedDenseConditioner, batch: int, features: Features) -> None:
        shape, ends, like = conditioner.shape, conditioner.units_before, conditioner.output_bias
        weights = conditioner.masked_weights()
        sites, rows = range(shape.sites), [(site + 1) * shape.parameters for site in range(shape.sites)]
        self.known = GrownRows(shape.sites, batch, like)
        self._units = [GrownRows(shape.width, batch, like) for _ in weights.hidden]
        operands, before = [self.known, *self._units], [sites] + [ends] * (shape.depth - 1)
        self._layers = [
            TriangularProduct(weight, bias, operand, ends, known)
            for weight, bias, operand, known in zip(weights.hidden, conditioner.biases, operands, before, strict=False)
        ]
        self._direct = TriangularProduct(_by_site(weights.direct), None, self.known, rows, sites)
        bias = conditioner.output_bias.t().flatten()
        self._output = TriangularProduct(_by_site(weights.output), bias, self._units[-1], rows, ends)
        self._begins = [0, *ends]
        self._modulations: list[Modulated] = []
        if features is not None and conditioner.direct_modulation is not None:
            self._modulations = [modulated_columns(m, features) for m in conditioner.modulations]
            columns = modulated_columns(conditioner.direct_modulation, features)
            scale, shift = (part.view(shape.parameters, shape.sites, -1) for part in (columns.scale, columns.shift))
            self._modulated_direct = Modulated(_by_site(scale), _by_site(shift))
        self._num_parameters = shape.parameters

    def parameters(self, site: int) -> Float[Tensor, "parameter batch"]:
        """Those of ``site``, when all variables before it are in ``known``; sites in their order, each once."""
        begin, end = self._begins[site], self._begins[site + 1]
        for layer, (product, units) in enumerate(zip(self._layers, self._units, strict=True)):
            h = product.rows(site)
            units.append(torch.tanh(self._modulations[layer].rows(begin, end, h) if self._modulations else h))
        direct = self._direct.rows(site)
        if self._modulations:
            first = site * self._num_parameters
            direct = self._modulated_direct.rows(first, first + self._num_parameters, direct)
        return direct + self._output.rows(site)


def _by_site(rows: Float[Tensor, "parameter site column"]) -> Float[Tensor, "row column"]:
    """Rows that belong to one variable next to each other."""
    return rows.transpose(0, 1).flatten(0, 1)
