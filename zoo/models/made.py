"""MADE: masked dense layers, in any order of sites that the event's raster order gives."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.core.spaces import Space
from zoo.models.autoregressive import AutoregressiveSpins, Sweep
from zoo.models.triangular import TriangularProduct
from zoo.models.weights import generator_of, normal_parameter
from zoo.specs.models.made import MadeSpec


@final
class Made(AutoregressiveSpins):
    """Residual masked layers: h_1 = U s + a_1, h_{l+1} = h_l + W_l tanh(h_l) + a_{l+1}, x = V tanh(h_depth) + D s + b.

    Hidden unit k has a degree m_k in 1..n-1 and sees the first m_k spins: counting spins from 0, U_kj = 0 unless
    j < m_k, W_kk' = 0 unless m_k' <= m_k, V_ik = 0 unless m_k <= i, and D_ij = 0 unless j < i.  Degrees are spread
    evenly and units sorted by them, so that the units which the first spins determine are always a prefix.

    Good on any graph of spins up to a few hundred sites; it knows nothing of a lattice, where PixelCNN needs fewer
    weights.

    Source: Germain et al., arXiv:1502.03509; as a variational ansatz: Wu, Wang, Zhang, PRL 122, 080602 (2019).
    """

    _input_mask: Tensor
    _hidden_mask: Tensor
    _output_mask: Tensor
    _direct_mask: Tensor

    def __init__(self, spec: MadeSpec, space: Space, seed: int) -> None:
        super().__init__(spec, space, spec.symmetry)
        self.spec = spec
        n, width = space.num_sites, spec.width
        site = torch.arange(n)
        degree = 1 + torch.arange(width) * (n - 1) // width
        self._mask("_input_mask", site[None] < degree[:, None])
        self._mask("_hidden_mask", degree[None] <= degree[:, None])
        self._mask("_output_mask", degree[None] <= site[:, None])
        self._mask("_direct_mask", site[None] < site[:, None])
        self.units_before = [int((degree <= i).sum()) for i in range(n)]
        generator = generator_of(seed)
        seen = degree.sqrt()[:, None]
        self.input_weight = normal_parameter((width, n), 1 / seen, generator)
        self.input_bias = nn.Parameter(torch.zeros(width))
        units_seen = self._hidden_mask.sum(1, keepdim=True).sqrt()
        self.hidden_weights = nn.ParameterList(
            normal_parameter((width, width), 0.5 / units_seen, generator) for _ in range(spec.depth - 1)
        )
        self.hidden_biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(spec.depth - 1))
        self.output_weight = normal_parameter((n, width), 0.1 * width**-0.5, generator)
        self.direct_weight = nn.Parameter(torch.zeros(n, n))
        self.output_bias = nn.Parameter(torch.zeros(n))

    def network(self, spins: Float[Tensor, "batch site"]) -> Float[Tensor, "batch site"]:
        """x_i of every site, from dense products with masked weights."""
        u, ws, v, d = self.masked_weights()
        hidden = torch.addmm(self.input_bias, spins, u.t())
        for w, bias in zip(ws, self.hidden_biases, strict=True):
            hidden = hidden + torch.addmm(bias, torch.tanh(hidden), w.t())
        return torch.addmm(self.output_bias, torch.tanh(hidden), v.t()) + spins @ d.t()

    def sweep(self, batch: int) -> Sweep:
        """The network site by site, on a batch of fixed size."""
        return _MadeSweep(self, batch)

    def masked_weights(self) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
        """U (unit, site), the W_l (unit, unit), V (site, unit), D (site, site); what is not causal is zero."""
        return (
            self.input_weight * self._input_mask,
            [weight * self._hidden_mask for weight in self.hidden_weights],
            self.output_weight * self._output_mask,
            self.direct_weight * self._direct_mask,
        )

    def _mask(self, name: str, allowed: Tensor) -> None:
        self.register_buffer(name, allowed.float(), persistent=False)


class _MadeSweep(Sweep):
    """Every layer as a triangular product, whose rows are computed once, when the spins that they see are known."""

    def __init__(self, model: Made, batch: int) -> None:
        n, width = model.space.num_sites, model.spec.width
        super().__init__(n, batch, model.output_bias)
        u, ws, v, d = model.masked_weights()
        sites, ends = range(n), model.units_before
        known, single = list(sites), [i + 1 for i in sites]
        self._ends = ends
        self._active = [self.spins.new_empty(width, batch) for _ in range(model.spec.depth)]
        self._first = TriangularProduct(u, model.input_bias, self.spins, ends, known)
        self._hidden = [
            TriangularProduct(w, bias, active, ends, ends)
            for w, bias, active in zip(ws, model.hidden_biases, self._active[:-1], strict=True)
        ]
        self._direct = TriangularProduct(d, model.output_bias, self.spins, single, known)
        self._output = TriangularProduct(v, None, self._active[-1], single, ends)

    def advance(self, site: int) -> None:
        begin, end = self._ends[site - 1] if site else 0, self._ends[site]
        hidden = self._first.rows(site)
        torch.tanh(hidden, out=self._active[0][begin:end])
        for product, active in zip(self._hidden, self._active[1:], strict=True):
            hidden = hidden + product.rows(site)
            torch.tanh(hidden, out=active[begin:end])
        torch.add(self._direct.rows(site), self._output.rows(site), out=self.logits[site : site + 1])
