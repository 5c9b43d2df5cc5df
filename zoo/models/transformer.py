"""Causal transformer: attention over the earlier sites, sampled with keys and values kept."""

from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

from zoo.core.spaces import Space
from zoo.models.frontier import Frontier, FrontierSweep, SiteReadout, SiteReadoutSweep
from zoo.models.site_network import Packed, SiteNetwork, Sweep, discrete_values
from zoo.nn.conditioning import Features, Modulation
from zoo.nn.weights import generator_of, normal_parameter
from zoo.specs.models.transformer import TransformerSpec

_EXPANSION = 4  # hidden units of a dense map for each number of a site
_LONGEST_TURN = 1e4  # sites in which the slowest pair of rotary numbers turns by one radian


class _Norm(nn.Module):
    """(h - mean) / deviation, scaled and shifted for each unit, and again by the conditions."""

    def __init__(self, width: int, *, conditional: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.modulation = Modulation(width) if conditional else None

    def forward(self, hidden: Float[Tensor, "batch *site unit"], modulated: tuple[Tensor, Tensor] | None) -> Tensor:
        """``modulated``: what ``modulation`` makes of the features, shaped to broadcast."""
        normal = layer_norm(hidden, self.weight.shape, self.weight, self.bias)
        return normal if modulated is None else torch.addcmul(modulated[1], normal, modulated[0])

    def modulated(self, features: Features) -> tuple[Tensor, Tensor] | None:
        """Scale and shift, shape (row, unit)."""
        if features is None or self.modulation is None:
            return None
        scale, shift = self.modulation(features)
        return scale, shift


class _Layer(nn.Module):
    """h -> h + A(norm(h)), then h -> h + W_2 gelu(W_1 norm(h) + b_1): the pre-norm order."""

    def __init__(self, spec: TransformerSpec, generator: torch.Generator, *, conditional: bool) -> None:
        super().__init__()
        width, inner = spec.width, _EXPANSION * spec.width
        self.heads = spec.heads
        residual = (2 * spec.depth) ** -0.5  # so that the sum over layers is of order one
        self.attention_norm = _Norm(width, conditional=conditional)
        self.in_weight = normal_parameter((3 * width, width), width**-0.5, generator)
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_weight = normal_parameter((width, width), residual * width**-0.5, generator)
        self.dense_norm = _Norm(width, conditional=conditional)
        self.first_weight = normal_parameter((inner, width), width**-0.5, generator)
        self.first_bias = nn.Parameter(torch.zeros(inner))
        self.second_weight = normal_parameter((width, inner), residual * inner**-0.5, generator)

    def forward(
        self, hidden: Float[Tensor, "batch site unit"], rotation: "_Rotation | None", features: Features
    ) -> Float[Tensor, "batch site unit"]:
        """The layer on all sites; site i attends to the sites up to itself."""
        batch, sites, width = hidden.shape
        argument = self.attention_norm(hidden, _for_sites(self.attention_norm.modulated(features)))
        joint = (torch.matmul(argument, self.in_weight.t()) + self.in_bias).view(batch, sites, 3, self.heads, -1)
        query, key, value = joint.permute(2, 0, 3, 1, 4)  # (batch, head, site, unit)
        if rotation is not None:
            query, key = rotation.turned(query), rotation.turned(key)
        attended = scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + torch.matmul(attended.transpose(1, 2).reshape(batch, sites, width), self.out_weight.t())
        argument = self.dense_norm(hidden, _for_sites(self.dense_norm.modulated(features)))
        inner = gelu(torch.matmul(argument, self.first_weight.t()) + self.first_bias)
        return hidden + torch.matmul(inner, self.second_weight.t())


@final
class Transformer(SiteNetwork):
    """h_i = g_i + p_i, layers of causal attention and dense maps, x_i = V_i norm(h_i) + D_i s + b_i.

    The token of site i is linear in the frontier of known sites and in the first row (``Frontier``), so that a layer
    need not find the neighbours of a site by attention; p are its positions.  D_i is linear in all earlier sites, and
    each site has a readout V of its own.  Conditions scale and shift the output of every norm, and D s.

    A sample costs O(N width^2 + N^2 width).  Good where correlations are long or joined by no lattice; on a lattice
    alone PixelCNN needs less time.

    Source: Vaswani et al., arXiv:1706.03762, with norms before each map: Xiong et al., arXiv:2002.04745.
    """

    def __init__(self, spec: TransformerSpec, space: Space, seed: int) -> None:
        generator = generator_of(seed)
        super().__init__(spec, space, generator, discrete_values(spec, space))
        conditional = self.encoder is not None
        self.spec = spec
        self.frontier = Frontier(space, self.values, spec.width, generator)
        self.layers = nn.ModuleList(_Layer(spec, generator, conditional=conditional) for _ in range(spec.depth))
        self.last_norm = _Norm(spec.width, conditional=conditional)
        self.readout = SiteReadout(space, self.values, spec.width, generator, conditional=conditional)
        self.position_weights = nn.ParameterList()
        self.rotation: _Rotation | None = None
        if spec.positions == "rotary":
            self.rotation = _Rotation(space.event_shape, spec.width // spec.heads)
        else:
            lengths = space.event_shape if len(space.event_shape) == 2 else (space.num_sites,)
            self.position_weights.extend(normal_parameter((n, spec.width), 0.5, generator) for n in lengths)
        self.packed: Packed[_PackedTransformer] = Packed()

    def forward(
        self, inputs: Float[Tensor, "batch site channel"], features: Features = None
    ) -> Float[Tensor, "batch site parameter"]:
        """The parameters of every site at once."""
        columns = inputs.permute(1, 2, 0).contiguous()  # (site, channel, batch)
        hidden = self.frontier(columns, self.positions()).permute(2, 0, 1).contiguous()
        for layer in self.layers:
            hidden = layer(hidden, self.rotation, features)
        normal = self.last_norm(hidden, _for_sites(self.last_norm.modulated(features)))
        outputs: Tensor = self.readout(normal.permute(1, 2, 0), columns, features)
        return outputs.permute(2, 0, 1)

    def sweep(self, batch: int, features: Features = None) -> Sweep:
        """The network site by site, on a batch of fixed size."""
        return _TransformerSweep(self, batch, features)

    def positions(self) -> Float[Tensor, "site unit"]:
        """P: rows and columns in raster order; zero where positions are rotary."""
        if not len(self.position_weights):
            return self.like.new_zeros(self.space.num_sites, self.spec.width)
        embeddings: list[Tensor] = list(self.position_weights)
        if len(embeddings) == 1:
            return embeddings[0]
        rows, columns = embeddings
        return (rows.unsqueeze(1) + columns).flatten(0, 1)


@final
class _Rotation(nn.Module):
    """Pairs (u, v) of a head's numbers turned by an angle proportional to a coordinate of the site.

    Source: Su et al., arXiv:2104.09864, eq. 34; the first numbers of all pairs come before the second ones.
    """

    _cosine: Tensor
    _sine: Tensor

    def __init__(self, shape: tuple[int, ...], size: int) -> None:
        super().__init__()
        axes = shape if len(shape) == 2 else (torch.Size(shape).numel(),)
        pairs = size // 2 // len(axes)
        rates = _LONGEST_TURN ** -(torch.arange(pairs, dtype=torch.float64) / pairs)
        coordinates = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in axes)).view(-1, len(axes))
        angles = (coordinates.unsqueeze(2) * rates).flatten(1)  # (site, pair)
        self.register_buffer("_cosine", angles.cos().float().repeat(1, 2), persistent=False)
        sine = angles.sin().float()
        self.register_buffer("_sine", torch.cat([-sine, sine], 1), persistent=False)

    def turned(self, x: Float[Tensor, "*any site unit"]) -> Float[Tensor, "*any site unit"]:
        """All sites."""
        return _turned(x, self._cosine, self._sine)

    def turned_at(self, site: int, x: Float[Tensor, "*any unit"]) -> Float[Tensor, "*any unit"]:
        """One site."""
        return _turned(x, self._cosine[site], self._sine[site])


class _PackedTransformer(NamedTuple):
    """The weights as the sweep uses them."""

    frontier: tuple[Tensor, Tensor]
    positions: Tensor
    direct: Tensor


@final
class _NormSweep:
    """``_Norm`` on rows (batch, unit)."""

    def __init__(self, norm: _Norm, features: Features) -> None:
        self._shape, self._weight, self._bias = list(norm.weight.shape), norm.weight, norm.bias
        self._modulated = norm.modulated(features)

    def __call__(self, hidden: Float[Tensor, "batch unit"]) -> Float[Tensor, "batch unit"]:
        normal = torch.layer_norm(hidden, self._shape, self._weight, self._bias)
        return normal if self._modulated is None else torch.addcmul(self._modulated[1], normal, self._modulated[0])


@final
class _LayerSweep:
    """A layer site by site, on rows (batch, unit); keys and values of earlier sites are kept.

    All views of weights and memory are made once: making them again takes longer than a site of a small batch.
    """

    def __init__(self, layer: _Layer, sites: int, batch: int, rotation: _Rotation | None, features: Features) -> None:
        self._rotation = rotation
        self._attention_norm = _NormSweep(layer.attention_norm, features)
        self._dense_norm = _NormSweep(layer.dense_norm, features)
        self._in, self._in_bias, self._out = layer.in_weight.t(), layer.in_bias, layer.out_weight.t()
        self._first, self._first_bias, self._second = layer.first_weight.t(), layer.first_bias, layer.second_weight.t()
        width = len(layer.out_weight)
        self._joint = layer.in_weight.new_empty(batch, 3 * width)
        by_head = self._joint.view(batch, 3, layer.heads, -1).transpose(0, 1)  # (3, batch, head, unit)
        self._turned, self._query, self._new = by_head[:2], by_head[0].unsqueeze(2), by_head[1:]
        kept = layer.in_weight.new_empty(2, batch, layer.heads, sites, width // layer.heads)
        self._keys, self._values = kept
        self._slots = kept.unbind(3)
        self._inner = layer.in_weight.new_empty(batch, len(layer.first_weight))

    def advance(self, site: int, hidden: Float[Tensor, "batch unit"]) -> None:
        """``hidden`` of ``site`` is overwritten by what the layer makes of it."""
        torch.addmm(self._in_bias, self._attention_norm(hidden), self._in, out=self._joint)
        if self._rotation is not None:
            self._turned.copy_(self._rotation.turned_at(site, self._turned))
        self._slots[site].copy_(self._new)
        keys, values = self._keys.narrow(2, 0, site + 1), self._values.narrow(2, 0, site + 1)
        attended = scaled_dot_product_attention(self._query, keys, values)
        hidden.addmm_(attended.reshape(hidden.shape), self._out)
        torch.addmm(self._first_bias, self._dense_norm(hidden), self._first, out=self._inner)
        hidden.addmm_(gelu(self._inner), self._second)


@final
class _TransformerSweep(Sweep):
    def __init__(self, network: Transformer, batch: int, features: Features) -> None:
        super().__init__(network, batch)
        weights = network.packed.get(
            network,
            lambda: _PackedTransformer(network.frontier.packed(), network.positions(), network.readout.causal_weight()),
        )
        self._frontier = FrontierSweep(weights.frontier, weights.positions, self.inputs)
        self._readout = SiteReadoutSweep(network.readout, weights.direct, self.inputs, features)
        sites = network.space.num_sites
        self._layers = [
            _LayerSweep(layer, sites, batch, network.rotation, features)
            for layer in network.layers
            if isinstance(layer, _Layer)
        ]
        self._norm = _NormSweep(network.last_norm, features)
        self._hidden = self.inputs.new_empty(batch, network.spec.width)

    def advance(self, site: int) -> None:
        hidden = self._hidden.copy_(self._frontier.advance(site).t())
        for layer in self._layers:
            layer.advance(site, hidden)
        self._readout.advance(site, self._norm(hidden).t(), self.outputs[site])


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    return torch.addcmul(x * cosine, x.roll(x.shape[-1] // 2, -1), sine)


def _for_sites(modulated: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
    return None if modulated is None else (modulated[0].unsqueeze(1), modulated[1].unsqueeze(1))
