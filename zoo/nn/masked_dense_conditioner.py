"""Masked dense conditioners: the parameters of every variable from the variables before it."""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.nn.conditioner import Conditioner
from zoo.nn.conditioning import Features, Modulation
from zoo.nn.dense import FIRST_OUTPUT_SCALE
from zoo.nn.weights import normal_parameter


@final
@dataclass(frozen=True)
class MaskedShape:
    """How many variables there are, with how many parameters each, the last of them ``linear``, and hidden layers."""

    sites: int
    parameters: int
    linear: int
    width: int
    depth: int


class MaskedWeights(NamedTuple):
    """Of the hidden layers (unit, input), of the output and of the direct term (parameter, site, input)."""

    hidden: list[Tensor]
    output: Tensor
    direct: Tensor


@final
class MaskedDenseConditioner(Conditioner):
    """Layers h_1 = tanh(U y + a_1), h_(l+1) = tanh(W_l h_l + a_(l+1)), and p = V h_depth + D y + b.

    Hidden unit k has a degree m_k in 1..n-1 and sees the first m_k variables: counting them from 0, U_kj = 0 unless
    j < m_k, W_kk' = 0 unless m_k' <= m_k, V_ik = 0 unless m_k <= i, and D_ij = 0 unless j < i, so that p_i depends on
    y_0 .. y_(i-1) alone.  Degrees are spread evenly and units sorted by them: the units that the first variables
    determine are a prefix.  Only the last ``linear`` parameters of a variable have a part in D: shifts can be any
    linear function of what came before, and all else is bounded.  (Scales that grow with what came before would grow
    with what they themselves have made.)

    Features scale and shift the argument of every tanh, and D y.

    Source: Germain et al., arXiv:1502.03509.
    """

    def __init__(self, shape: MaskedShape, generator: torch.Generator, *, conditional: bool) -> None:
        super().__init__()
        self.shape = shape
        n, width, depth = shape.sites, shape.width, shape.depth
        degree = 1 + torch.arange(width) * (n - 1) // width
        self.units_before = [int((degree <= site).sum()) for site in range(n)]
        """The units that are determined when the parameters of a variable are asked for, for each variable."""
        site = torch.arange(n)
        self._mask("_first_mask", site < degree[:, None])
        self._mask("_hidden_mask", degree <= degree[:, None])
        self._mask("_output_mask", degree <= site[:, None])
        self._mask("_direct_mask", site < site[:, None])
        spreads = [degree[:, None].sqrt(), *[self._hidden_mask.sum(1, keepdim=True).sqrt()] * (depth - 1)]
        self.weights = nn.ParameterList(
            normal_parameter((width, n if layer == 0 else width), 1 / spread, generator)
            for layer, spread in enumerate(spreads)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(depth))
        self.modulations = nn.ModuleList(Modulation(width) for _ in range(depth if conditional else 0))
        first = FIRST_OUTPUT_SCALE * width**-0.5
        self.output_weight = normal_parameter((shape.parameters, n, width), first, generator)
        self.output_bias = nn.Parameter(torch.zeros(shape.parameters, n))
        self.direct_weight = nn.Parameter(torch.zeros(shape.linear, n, n))
        self.direct_modulation = Modulation(shape.parameters * n) if conditional else None

    _first_mask: Tensor
    _hidden_mask: Tensor
    _output_mask: Tensor
    _direct_mask: Tensor

    def forward(
        self, y: Float[Tensor, "batch frozen"], features: Features = None
    ) -> Float[Tensor, "row parameter active"]:
        """p(y), shape (batch, parameter, variable), from dense products with masked weights."""
        weights = self.masked_weights()
        h = y
        for layer, weight in enumerate(weights.hidden):
            h = torch.addmm(self.biases[layer], h, weight.t())
            if features is not None and self.modulations:
                scale, shift = self.modulations[layer](features)
                h = torch.addcmul(shift, h, scale)
            h = torch.tanh(h)
        direct = torch.mm(y, weights.direct.flatten(0, 1).t())
        if features is not None and self.direct_modulation is not None:
            scale, shift = self.direct_modulation(features)
            direct = torch.addcmul(shift, direct, scale)
        p = torch.addmm(self.output_bias.flatten(), h, weights.output.flatten(0, 1).t()) + direct
        return p.view(-1, self.shape.parameters, self.shape.sites)

    def masked_weights(self) -> MaskedWeights:
        """The weights with zeros where a variable would see itself or a later one; differentiable."""
        masks = [self._first_mask] + [self._hidden_mask] * (self.shape.depth - 1)
        direct = self.direct_weight * self._direct_mask
        nothing = direct.new_zeros(self.shape.parameters - self.shape.linear, *direct.shape[1:])
        return MaskedWeights(
            [weight * mask for weight, mask in zip(self.weights, masks, strict=True)],
            self.output_weight * self._output_mask,
            torch.cat([nothing, direct]),
        )

    def _mask(self, name: str, allowed: Tensor) -> None:
        self.register_buffer(name, allowed.float(), persistent=False)
