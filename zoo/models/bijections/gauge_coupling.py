"""Couplings of the links of a two-dimensional gauge field that commute with its gauge transformations."""

from collections.abc import Callable, Iterable, Sequence
from math import pi
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.models.bijections.base import Bijection, Mapped
from zoo.models.bijections.scalar_map import ScalarMap, Scalars
from zoo.nn.conditioning import Features
from zoo.nn.plane_convolution import PlaneConvolution

PERIOD = 4
"""Columns after which the columns of active links repeat."""
CHANNELS = 6
"""Inputs of a layer's network at every active plaquette: cosine and sine of three loops."""

Columns = list[Tensor]
"""The columns 0, 1, 2, 3 modulo 4 of a plane, each of shape (batch, along, block)."""

ScalarStep = Callable[[Tensor, Tensor], Scalars]


@final
class GaugeCouplings(Bijection):
    """Layers theta_mu(x) -> theta_mu(x) +- (f(theta_p) - theta_p) on every fourth column of links that point along it.

    theta_p(x) = theta_0(x) + theta_1(x + e_0) - theta_0(x + e_1) - theta_1(x) is the active plaquette, in which the
    link has the sign +-; the plaquette p' on the link's other side changes by the opposite.  The parameters of f come
    from a network of the loops without active links: the plaquettes of the two columns between, and the rectangle of p
    and p' together, whose links are all that a link's conditional distribution depends on in Wilson's action.  f is a
    map of the circle and everything else is invariant, so a layer commutes with gauge transformations, and ln |det| =
    sum_p ln f'(theta_p).  Layer l is for direction mu = l modulo 2 and the columns l // 2 modulo 4.

    Source: Kanwar et al., Phys. Rev. Lett. 125, 121601 (2020), arXiv:2003.06413; masks: Albergo et al.,
    arXiv:2101.08176, section V; rectangles in addition.
    """

    def __init__(self, sides: tuple[int, ...], scalar_map: ScalarMap, conditioners: Sequence[PlaneConvolution]) -> None:
        super().__init__()
        self.sides = sides
        self.scalar_map = scalar_map
        self.conditioners = nn.ModuleList(conditioners)

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """The layers in their order; angles in [-pi, pi)."""
        return self._through(z, features, range(len(self.conditioners)), self.scalar_map.forward)

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """The layers backwards; angles in [-pi, pi)."""
        return self._through(x, features, reversed(range(len(self.conditioners))), self.scalar_map.inverse)

    def _through(
        self, x: Float[Tensor, "batch site"], features: Features, layers: Iterable[int], apply: ScalarStep
    ) -> Mapped:
        links = x.reshape(len(x), 2, *self.sides)
        plaquettes = _plaquettes(links)
        moved = [_columns(links[:, mu], mu) for mu in (0, 1)]
        total = x.new_zeros(len(x)).double()
        for layer in layers:
            mu, column = layer % 2, layer // 2 % PERIOD
            columns = _columns(plaquettes, mu)
            change, log_det = self._step(columns, layer, features, apply)
            moved[mu][column] = moved[mu][column] + (change if mu == 0 else -change)
            plaquettes = _joined(columns, mu)
            total = total + log_det
        return wrapped(torch.stack([_joined(moved[mu], mu) for mu in (0, 1)], 1).flatten(1)), total

    def _step(
        self, columns: Columns, layer: int, features: Features, apply: ScalarStep
    ) -> tuple[Float[Tensor, "batch along block"], Float[Tensor, " batch"]]:
        """Changes ``columns`` of plaquettes; the change of the active ones, and ln |det|."""
        column = layer // 2 % PERIOD
        active = wrapped(columns[column])
        rectangle = active + _neighbour(columns, column, -1)
        loops = torch.stack([_neighbour(columns, column, 1), _neighbour(columns, column, 2), rectangle])
        parameters = self.conditioners[layer](torch.cat([loops.cos(), loops.sin()]), features)
        mapped = apply(active.flatten(1), parameters)
        after = mapped.values.view(active.shape)
        change = after - active
        columns[column] = after
        before = (column - 1) % PERIOD
        columns[before] = columns[before] - (change if column else change.roll(-1, 2))
        return change, mapped.log_slopes.sum(1, dtype=torch.float64)


def wrapped(angle: Tensor) -> Tensor:
    """``angle`` moved by whole turns into [-pi, pi)."""
    turned = angle - 2 * pi * torch.floor(angle / (2 * pi) + 0.5).detach()
    turned = torch.where(turned < -pi, turned + 2 * pi, turned)  # of many turns, rounding can leave it beyond an end
    return torch.where(turned >= pi, turned - 2 * pi, turned)


def _plaquettes(links: Float[Tensor, "batch 2 first second"]) -> Float[Tensor, "batch first second"]:
    """theta_p(x) = theta_0(x) + theta_1(x + e_0) - theta_0(x + e_1) - theta_1(x), not wrapped."""
    first, second = links.unbind(1)
    return first + second.roll(-1, 1) - first.roll(-1, 2) - second


def _columns(plane: Float[Tensor, "batch first second"], mu: int) -> Columns:
    """The plane in columns along axis ``mu``."""
    turned = plane if mu == 0 else plane.transpose(1, 2)
    return list(turned.reshape(*turned.shape[:2], -1, PERIOD).unbind(3))


def _joined(columns: Columns, mu: int) -> Float[Tensor, "batch first second"]:
    """The plane of these columns."""
    turned = torch.stack(columns, 3).flatten(2)
    return turned if mu == 0 else turned.transpose(1, 2)


def _neighbour(columns: Columns, column: int, distance: int) -> Tensor:
    """What is ``distance`` columns further than ``column``."""
    blocks, other = divmod(column + distance, PERIOD)
    return columns[other].roll(-blocks, 2) if blocks else columns[other]
