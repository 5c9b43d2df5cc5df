"""Sums over the pairs of n particles, each pair once, in free space or between nearest images in a periodic box.

Pairs i < j are listed once, in the order of ``torch.triu_indices``: O(n^2) numbers for each configuration.  Batches are
worked off in chunks: without derivatives in chunks that fit in a processor's cache, and with them in chunks of at most
2^24 pairs, each computed again in the backward pass instead of kept.
"""

from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.utils.checkpoint import checkpoint

PAIRS_AT_ONCE = 2**24
"""Most pairs of particles, over the configurations of a batch, whose distances are held at the same time."""

_PAIRS_IN_CACHE = 2**16  # measured on one core: two to three times faster than whole batches of 13 particles

PairFunction = Callable[[Tensor], Tensor]
"""A function of squared distances, element by element."""


@final
class Pairs:
    """The n (n - 1) / 2 pairs of n particles; ``box`` holds the sides of a periodic box, None in free space."""

    def __init__(self, num_particles: int, box: tuple[float, ...] | None = None) -> None:
        self._ends = torch.triu_indices(num_particles, num_particles, 1)
        self._box = None if box is None else torch.tensor(box, dtype=torch.float64)[:, None]

    @property
    def number(self) -> int:
        """N (n - 1) / 2."""
        return self._ends.shape[1]

    def distances(self, x: Float[Tensor, "batch particle axis"]) -> Float64[Tensor, "batch pair"]:
        """|x_i - x_j| for i < j, between nearest images in a box."""
        return self._in_chunks(lambda part: self._separations(part)[1].sqrt(), x)

    def energy(self, x: Float[Tensor, "batch particle axis"], potential: PairFunction) -> Float64[Tensor, " batch"]:
        """sum_{i<j} v(r_ij), with ``potential`` mapping r^2 to v(r); differentiable in x."""
        return self._in_chunks(lambda part: potential(self._separations(part)[1]).sum(1), x)

    def force(
        self, x: Float[Tensor, "batch particle axis"], slope: PairFunction
    ) -> Float64[Tensor, "batch particle axis"]:
        """-grad of the pair energy, F_i = -sum_j v'(r_ij) (x_i - x_j) / r_ij, with ``slope`` mapping r^2 to v'(r) / r.

        On a GPU the order of summation, and so the last bit, can differ between calls.
        """
        return self._in_chunks(lambda part: self._force(part, slope), x)

    def virial(self, x: Float[Tensor, "batch particle axis"], slope: PairFunction) -> Float64[Tensor, " batch"]:
        """-sum_{i<j} r_ij v'(r_ij), with ``slope`` as in ``force``; d times the volume times the excess pressure."""

        def virial_of(part: Tensor) -> Tensor:
            squared = self._separations(part)[1]
            return -(slope(squared) * squared).sum(1)

        return self._in_chunks(virial_of, x)

    def observables(self, x: Float[Tensor, "batch particle axis"]) -> dict[str, Float64[Tensor, " batch"]]:
        """``mean_pair_distance`` and ``smallest_pair_distance`` of two or more particles, in the unit of x."""
        distance = self.distances(x)
        return {"mean_pair_distance": distance.mean(1), "smallest_pair_distance": distance.amin(1)}

    def _force(self, x: Tensor, slope: PairFunction) -> Tensor:
        separation, squared = self._separations(x)
        push = -slope(squared)[:, None] * separation
        first, second = self._ends.to(x.device)
        total = torch.zeros(len(x), x.shape[2], x.shape[1], dtype=torch.float64, device=x.device)
        return total.index_add(2, first, push).index_add(2, second, -push).transpose(1, 2)

    def _separations(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x_i - x_j, shape (batch, axis, pair), with its squared length, shape (batch, pair)."""
        columns = x.transpose(1, 2).contiguous()
        first, second = self._ends.to(x.device)
        separation = nearest_image(columns.index_select(2, first) - columns.index_select(2, second), self._box)
        return separation, (separation * separation).sum(1)

    def _in_chunks(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return in_chunks(function, x.to(torch.float64), self.number)


def nearest_image(separation: Float64[Tensor, "*shape"], box: Tensor | None) -> Float64[Tensor, "*shape"]:
    """``separation`` less the whole periods nearest to it, within half a side of 0; itself where ``box`` is None."""
    if box is None:
        return separation
    sides = box.to(separation.device)
    return separation - sides * torch.round(separation / sides)


def in_chunks(
    function: Callable[[Tensor], Tensor], x: Float64[Tensor, "batch *event"], pairs_per_row: int
) -> Float64[Tensor, "batch *rest"]:
    """``function(x)``, a function of each row by itself, with at most 2^24 pairs at once and at least one row.

    Rows that take part in differentiation and do not fit at once are computed a second time in the backward pass, so
    that the bound holds for what is kept, too.
    """
    fitting = max(1, PAIRS_AT_ONCE // max(1, pairs_per_row))
    if x.requires_grad and torch.is_grad_enabled():
        if len(x) <= fitting:
            return function(x)
        parts = [
            checkpoint(function, part, use_reentrant=False, preserve_rng_state=False)
            for part in torch.split(x, fitting)
        ]
        return torch.cat(parts)
    cached = max(1, _PAIRS_IN_CACHE // max(1, pairs_per_row)) if x.device.type == "cpu" else fitting
    return function(x) if len(x) <= cached else torch.cat([function(part) for part in torch.split(x, cached)])


def radius_of_gyration(x: Float[Tensor, "batch particle axis"]) -> Float64[Tensor, " batch"]:
    """Root of the mean squared distance of the particles to their centre of mass, in free space."""
    position = x.to(torch.float64)
    away = position - position.mean(1, keepdim=True)
    return (away * away).sum(2).mean(1).sqrt()


def sum_of_squares(x: Float[Tensor, "batch particle axis"]) -> Float64[Tensor, " batch"]:
    """sum_i |x_i|^2."""
    position = x.to(torch.float64)
    return (position * position).sum((1, 2))
