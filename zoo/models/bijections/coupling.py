"""Coupling layers: one half of the variables is mapped by scalar maps whose parameters the other half gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.models.bijections.base import Bijection, Mapped
from zoo.models.bijections.scalar_map import ScalarMap, Scalars
from zoo.nn.conditioner import Conditioner
from zoo.nn.conditioning import Features

ScalarStep = Callable[[Tensor, Tensor], Scalars]

_PARAMETERS_AT_ONCE = 3 * 2**19
"""Numbers that a layer's network gives at once where no gradient is asked for: 6 MiB, what caches hold."""


@final
@dataclass(frozen=True)
class Halves:
    """A division of the variables into two parts, each listed in raster order."""

    first: Int[Tensor, " first"]
    second: Int[Tensor, " second"]

    def of_layer(self, layer: int) -> tuple[Int[Tensor, " active"], Int[Tensor, " frozen"]]:
        """The active and the frozen variables of a layer: the parts take turns."""
        return (self.second, self.first) if layer % 2 else (self.first, self.second)


def checkerboard(shape: Sequence[int]) -> Halves:
    """Sites whose coordinates have an even sum, and the others."""
    parity = torch.zeros(tuple(shape), dtype=torch.int64)
    for axis, side in enumerate(shape):
        coordinate = torch.arange(side).view(-1, *[1] * (len(shape) - axis - 1))
        parity = parity + coordinate
    return _by_parity(parity.flatten())


def alternating(num_sites: int) -> Halves:
    """Variables of even and of odd number."""
    return _by_parity(torch.arange(num_sites))


def _by_parity(number: Int[Tensor, " site"]) -> Halves:
    return Halves((number % 2 == 0).nonzero()[:, 0], (number % 2 == 1).nonzero()[:, 0])


def in_pieces(
    x: Float[Tensor, "batch site"], features: Features, per_row: int, apply: Callable[[Tensor, Features], Mapped]
) -> Mapped:
    """``apply`` to all rows, in parts whose layers have ``per_row`` parameters for each row at once.

    With gradients everything is kept anyway, so there all at once.
    """
    number = 1 if torch.is_grad_enabled() else min(len(x), -(-len(x) * per_row // _PARAMETERS_AT_ONCE))
    if number <= 1:
        return apply(x, features)
    parts = x.chunk(number)
    seen = [features] * len(parts) if features is None or len(features) == 1 else features.chunk(number)
    mapped = [apply(*part) for part in zip(parts, seen, strict=True)]
    return torch.cat([values for values, _ in mapped]), torch.cat([log_det for _, log_det in mapped])


@final
class Couplings(Bijection):
    """Layers x_a = f(z_a; p(z_b)), x_b = z_b, in which a and b are the two halves in turn.

    One network is evaluated in each layer, in either direction; the halves are taken apart once and joined once.

    Source: Dinh, Krueger, Bengio, arXiv:1410.8516; Dinh, Sohl-Dickstein, Bengio, arXiv:1605.08803.
    """

    def __init__(self, halves: Halves, scalar_map: ScalarMap, conditioners: Sequence[Conditioner]) -> None:
        super().__init__()
        self.scalar_map = scalar_map
        self.conditioners = nn.ModuleList(conditioners)
        order = torch.cat([halves.first, halves.second])
        self.register_buffer("_order", order, persistent=False)
        self.register_buffer("_back", order.argsort(), persistent=False)
        self._sizes = [len(halves.first), len(halves.second)]

    _order: Tensor
    _back: Tensor

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """The layers in their order."""
        return self._in_pieces(z, features, range(len(self.conditioners)), self.scalar_map.forward)

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """The layers backwards."""
        return self._in_pieces(x, features, range(len(self.conditioners))[::-1], self.scalar_map.inverse)

    def _in_pieces(
        self, x: Float[Tensor, "batch site"], features: Features, layers: Sequence[int], apply: ScalarStep
    ) -> Mapped:
        """All rows, in as few parts as fit."""
        per_row = self.scalar_map.num_parameters * max(self._sizes)
        return in_pieces(x, features, per_row, lambda part, seen: self._through(part, seen, layers, apply))

    def _through(
        self, x: Float[Tensor, "batch site"], features: Features, layers: Sequence[int], apply: ScalarStep
    ) -> Mapped:
        halves = list(torch.split(x.index_select(1, self._order), self._sizes, 1))
        log_slopes = [torch.zeros_like(half) for half in halves]  # of each variable, summed in float64 at the end
        for layer in layers:
            active = layer % 2
            parameters = self.conditioners[layer](halves[1 - active], features)
            halves[active], added = apply(halves[active], parameters)
            log_slopes[active] = log_slopes[active] + added
        total = log_slopes[0].sum(1, dtype=torch.float64) + log_slopes[1].sum(1, dtype=torch.float64)
        return torch.cat(halves, 1).index_select(1, self._back), total
